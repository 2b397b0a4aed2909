'use strict'

// fivebeans' own tests connect to beanstalkd's usual port on this host, some by the name
// localhost. Loaded before them, this sends those connections to the server under test.

const net = require('net')

const USUAL_PORT = 11300
const createConnection = net.createConnection

net.createConnection = (port, ...rest) =>
  port === USUAL_PORT
    ? createConnection(Number(process.env.SERVER_PORT), process.env.SERVER_HOST)
    : createConnection(port, ...rest)
