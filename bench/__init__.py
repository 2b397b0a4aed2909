"""Measures stalkd against beanstalkd: same load, same core, pairs interleaved. See README.md."""
