"""Writes each message to the table, except "failing", which it reports as failed.

The message "slow" takes a second. A message that begins with "held" waits for the item "let go".
"""

import os
import time

import boto3

dynamodb = boto3.client("dynamodb")


def handler(event, context):
    failures = []
    for record in event["Records"]:
        body = record["body"]
        if body == "slow":
            write("slow has begun")
            time.sleep(1)
        if body.startswith("held"):
            write(f"{body} has begun")
            while not exists("let go"):
                time.sleep(0.05)
        if body == "failing":
            failures.append({"itemIdentifier": record["messageId"]})
        else:
            write(body, batch={"N": str(len(event["Records"]))})
    return {"batchItemFailures": failures}


def write(name, **more):
    item = {"pk": {"S": name}, "at": {"N": str(time.time())}} | more
    dynamodb.put_item(TableName=os.environ["TABLE"], Item=item)


def exists(name):
    return "Item" in dynamodb.get_item(TableName=os.environ["TABLE"], Key={"pk": {"S": name}})
