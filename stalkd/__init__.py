"""stalkd: a work queue that speaks the Beanstalk protocol."""

__version__ = "0.1.0"
