"""The processes that run code of users. They have no connection, and know of no lease."""
