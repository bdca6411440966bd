"""Writes each message to the table, except one with the body "failing"."""

import os
import time

import boto3

dynamodb = boto3.client("dynamodb")


def handler(event, context):
    failures = []
    for record in event["Records"]:
        body = record["body"]
        if body == "slow":
            note("slow has begun")
            time.sleep(1)
        if body.startswith("held"):
            note(f"{body} has begun")
            while not noted("let go"):
                time.sleep(0.05)
        if body == "failing":
            failures.append({"itemIdentifier": record["messageId"]})
        else:
            note(body, batch={"N": str(len(event["Records"]))})
    return {"batchItemFailures": failures}


def note(name, **more):
    item = {"pk": {"S": name}, "at": {"N": str(time.time())}} | more
    dynamodb.put_item(TableName=os.environ["TABLE"], Item=item)


def noted(name):
    return "Item" in dynamodb.get_item(TableName=os.environ["TABLE"], Key={"pk": {"S": name}})
