"""PyQS. Its queue is made first: workers look for queues only every half a minute."""

import boto3
from handlers import nothing
from pyqs import task

boto3.client("sqs").create_queue(QueueName="jobs")
push = task(queue="jobs")(nothing).delay
