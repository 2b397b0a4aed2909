"""`stalk-worker` beside other Python workers."""
