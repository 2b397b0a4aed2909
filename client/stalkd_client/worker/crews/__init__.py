"""The processes of a worker: started, watched, replaced, more or fewer of them."""
