"""stalkd held against beanstalkd 1.12: recorded conversations and random ones."""
