"""Answers with its event, or calls the function below that the path names."""

import json
import os
import time

import boto3
from greeting import WORD

dynamodb = boto3.client("dynamodb")
sqs = boto3.client("sqs")


def handler(event, context):
    what = event.get("pathParameters", {}).get("what")
    if what is None:
        return {"greeting": WORD, "event": event}
    return globals()[what](event.get("body", ""))


def fail(body):
    raise ValueError(body)


def sleep(body):
    time.sleep(float(body))
    return {"statusCode": 200, "body": "slept"}


def answer(body):
    print("asked for", body)
    return json.loads(body)


def size(body):
    return {"statusCode": 200, "body": str(len(body))}


def long(body):
    return "x" * int(body)


def environment(body):
    return dict(os.environ)


def queue(body):
    sqs.send_message(QueueUrl=os.environ["QUEUE_URL"], MessageBody=body)
    return {"statusCode": 202, "body": str(time.time())}


def meet(body):
    """Answers once `wanted` calls with this name have all begun. `body`: the name and the wanted number."""
    name, wanted = body.split()
    arrived = count(name)
    while arrived < int(wanted):
        time.sleep(0.02)
        arrived = int(get(name)["calls"]["N"])
    return {"statusCode": 200, "body": "met"}


def count(body):
    """Counts a call for this name. Returns the number of calls."""
    answer = dynamodb.update_item(
        TableName=os.environ["TABLE"],
        Key={"pk": {"S": body}},
        UpdateExpression="ADD calls :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
        ReturnValues="ALL_NEW",
    )
    return int(answer["Attributes"]["calls"]["N"])


def get(body):
    return dynamodb.get_item(TableName=os.environ["TABLE"], Key={"pk": {"S": body}}).get("Item")


def delete(body):
    dynamodb.delete_item(TableName=os.environ["TABLE"], Key={"pk": {"S": body}})
