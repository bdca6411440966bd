"""Notes each message in the table, but for one that says "failing"."""

import os
import time

import boto3

dynamodb = boto3.client("dynamodb")


def handler(event, context):
    failures = []
    for record in event["Records"]:
        if record["body"] == "slow":
            time.sleep(1)
        item = {
            "pk": {"S": record["body"]},
            "at": {"N": str(time.time())},
            "batch": {"N": str(len(event["Records"]))},
        }
        if record["body"] == "failing":
            failures.append({"itemIdentifier": record["messageId"]})
        else:
            dynamodb.put_item(TableName=os.environ["TABLE"], Item=item)
    return {"batchItemFailures": failures}
