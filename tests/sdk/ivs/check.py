"""AWS's official SDK works with the simulated Amazon IVS and S3, and its service model accepts IVS's answers.

Environment: the AWS variables, IVS_API_BASE_URL, IVS_S3_ENDPOINT, IVS_RECORDING_BUCKET, IVS_RECORDING_CONFIGURATION_ARN,
and IVS_LIVE_CHANNEL: the ARN of a channel with a broadcast that is recorded.
"""

import json
import os
import re
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

CONFIG = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
checked = 0


def fits(shape, value, place):
    """Holds a JSON value against a shape of the service model."""
    if value is None:
        return
    kind = shape.type_name
    if kind == "structure":
        assert isinstance(value, dict), place
        unknown = set(value) - set(shape.members)
        assert not unknown, f"{place} has {unknown}"
        missing = set(shape.required_members) - set(value)
        assert not missing, f"{place} has no {missing}"
        for key, inner in value.items():
            fits(shape.members[key], inner, f"{place}.{key}")
    elif kind == "list":
        for number, inner in enumerate(value):
            fits(shape.member, inner, f"{place}[{number}]")
    elif kind == "map":
        for key, inner in value.items():
            fits(shape.value, inner, f"{place}.{key}")
    elif kind == "boolean":
        assert isinstance(value, bool), place
    elif kind in ("integer", "long"):
        assert isinstance(value, int), place
    elif kind == "timestamp":
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value), f"{place}: {value}"
    else:
        assert kind == "string" and isinstance(value, str), f"{place}: {value}"
        assert not shape.enum or value == "" or value in shape.enum, f"{place}: {value}"
        pattern = shape.metadata.get("pattern")
        # Python knows no Unicode categories, and the model's pattern of any resource's ARN fits none.
        assert not pattern or "\\p{" in pattern or shape.name == "ResourceArn" or re.fullmatch(pattern, value), f"{place}: {value}"
        assert shape.metadata.get("min", 0) <= len(value) <= shape.metadata.get("max", 10**6), place


def check(response_dict, operation_name, **_):
    global checked
    model = ivs.meta.service_model.operation_model(operation_name)
    if response_dict["status_code"] < 300 and model.output_shape and response_dict["body"]:
        fits(model.output_shape, json.loads(response_dict["body"]), operation_name)
        checked += 1


def listen(client):
    """Shows each answer to `check` before the SDK parses it."""
    client.meta.events.register(
        "before-parse.ivs.*",
        lambda response_dict, operation_model, **_: check(response_dict, operation_model.name),
    )
    return client


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return error
    raise AssertionError(f"{code} was expected")


def until(what, poll):
    deadline = time.monotonic() + 20
    while not (found := poll()):
        assert time.monotonic() < deadline, f"never {what}"
        time.sleep(0.02)
    return found


ivs = listen(boto3.client("ivs", endpoint_url=os.environ["IVS_API_BASE_URL"], config=CONFIG))
s3 = boto3.client("s3", endpoint_url=os.environ["IVS_S3_ENDPOINT"], config=CONFIG)
bucket = os.environ["IVS_RECORDING_BUCKET"]
configuration = os.environ["IVS_RECORDING_CONFIGURATION_ARN"]

# Channels.
made = ivs.create_channel(
    name="show-1",
    type="BASIC",
    latencyMode="NORMAL",
    tags={"mark": "relay 1", "created": "2026-11-29T10:00:00Z"},
    recordingConfigurationArn=configuration,
)
channel, key = made["channel"], made["streamKey"]
arn = channel["arn"]
assert ivs.get_channel(arn=arn)["channel"] == channel
for number in range(25):
    ivs.create_channel(name=f"p{number}", type="ADVANCED_SD")
pages = ivs.get_paginator("list_channels").paginate(PaginationConfig={"PageSize": 10})
listed = [one["arn"] for page in pages for one in page["channels"]]
assert len(listed) == len(set(listed)) == 27, len(listed)
[named] = ivs.list_channels(filterByName="show-1")["channels"]
assert (named["arn"], named["tags"]) == (arn, channel["tags"])
recorded = ivs.list_channels(filterByRecordingConfigurationArn=configuration)["channels"]
assert len(recorded) == 2
refused(
    "ConflictException",
    ivs.list_channels,
    filterByName="show-1",
    filterByRecordingConfigurationArn=configuration,
)
batch = ivs.batch_get_channel(arns=[arn, arn[:-1] + "-"])
assert [one["arn"] for one in batch["channels"]] == [arn]
assert batch["errors"][0]["code"] == "ResourceNotFoundException"
assert ivs.update_channel(arn=arn, type="STANDARD", name="show-2")["channel"]["type"] == "STANDARD"
refused("ValidationException", ivs.create_channel, name="with space")

# Tags: their ARN is in the path.
ivs.tag_resource(resourceArn=arn, tags={"more": "x"})
ivs.untag_resource(resourceArn=arn, tagKeys=["created", "mark"])
assert ivs.list_tags_for_resource(resourceArn=arn)["tags"] == {"more": "x"}

# Keys.
assert ivs.get_stream_key(arn=key["arn"])["streamKey"] == key
[summary] = ivs.list_stream_keys(channelArn=arn)["streamKeys"]
assert (summary["arn"], summary.get("value")) == (key["arn"], None)
assert ivs.batch_get_stream_key(arns=[key["arn"]])["streamKeys"] == [key]
refused("ServiceQuotaExceededException", ivs.create_stream_key, channelArn=arn)
ivs.delete_stream_key(arn=key["arn"])
refused("ResourceNotFoundException", ivs.get_stream_key, arn=key["arn"])
renewed = ivs.create_stream_key(channelArn=arn)["streamKey"]
assert renewed["value"] != key["value"]

# Streams.
refused("ChannelNotBroadcasting", ivs.get_stream, channelArn=arn)
refused("ChannelNotBroadcasting", ivs.stop_stream, channelArn=arn)
live = os.environ["IVS_LIVE_CHANNEL"]
stream = ivs.get_stream(channelArn=live)["stream"]
assert (stream["state"], stream["startTime"].tzinfo is not None) == ("LIVE", True)
pages = ivs.get_paginator("list_streams").paginate(filterBy={"health": "HEALTHY"})
assert [one["channelArn"] for page in pages for one in page["streams"]] == [live]
refused("ConflictException", ivs.delete_channel, arn=live)
refused("ConflictException", ivs.update_channel, arn=live, name="other")
[session] = ivs.list_stream_sessions(channelArn=live)["streamSessions"]
assert session["streamId"] == stream["streamId"]
full = ivs.get_stream_session(channelArn=live, streamId=session["streamId"])["streamSession"]
assert full["recordingConfiguration"]["arn"] == configuration
ivs.stop_stream(channelArn=live)


def deleted():
    try:
        ivs.delete_channel(arn=live)
    except ivs.exceptions.ConflictException:
        return False
    return True


until("deleted", deleted)
error = refused("ResourceNotFoundException", ivs.delete_channel, arn=live)
assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 404

# The recording, in the bucket of the configuration.
read = ivs.get_recording_configuration(arn=configuration)["recordingConfiguration"]
assert read["state"] == "ACTIVE"
assert read["destinationConfiguration"]["s3"]["bucketName"] == bucket
account, channel_id = live.split(":")[4], live.rsplit("/")[-1]
prefix = f"ivs/v1/{account}/{channel_id}/"
pager = s3.get_paginator("list_objects_v2")


def keys():
    pages = pager.paginate(Bucket=bucket, Prefix=prefix, PaginationConfig={"PageSize": 2})
    return [one["Key"] for page in pages for one in page.get("Contents", [])]


ended = until("recorded", lambda: [key for key in keys() if key.endswith("/events/recording-ended.json")])
metadata = json.loads(s3.get_object(Bucket=bucket, Key=ended[0])["Body"].read())
assert metadata["media"]["hls"]["duration_ms"] > 0
folders = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter="/")["CommonPrefixes"]
assert folders == [{"Prefix": f"{prefix}{metadata['recording_started_at'][:4]}/"}]
assert s3.head_object(Bucket=bucket, Key=ended[0])["ContentLength"] > 0
first, *others = keys()
after = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, StartAfter=first)
assert [one["Key"] for one in after["Contents"]] == others
s3.delete_object(Bucket=bucket, Key=first)
refused("NoSuchKey", s3.get_object, Bucket=bucket, Key=first)
refused("404", s3.head_object, Bucket=bucket, Key=first)
answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in others]})
assert (len(answer["Deleted"]), answer.get("Errors")) == (len(others), None)
assert keys() == []
refused("NoSuchBucket", s3.list_objects_v2, Bucket="another")

# Signatures.
for changed, of_ivs, of_s3 in [
    ({"aws_secret_access_key": "wrong"}, "InvalidSignatureException", "SignatureDoesNotMatch"),
    ({"aws_access_key_id": "AKIAWRONG"}, "UnrecognizedClientException", "InvalidAccessKeyId"),
    ({"region_name": "eu-west-1"}, "InvalidSignatureException", "AuthorizationHeaderMalformed"),
]:
    session = boto3.Session(**changed) if "region_name" in changed else boto3.Session(
        **{
            "aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
            **changed,
        }
    )
    wrong = session.client("ivs", endpoint_url=os.environ["IVS_API_BASE_URL"], config=CONFIG)
    refused(of_ivs, wrong.list_channels)
    wrong = session.client("s3", endpoint_url=os.environ["IVS_S3_ENDPOINT"], config=CONFIG)
    refused(of_s3, wrong.list_objects_v2, Bucket=bucket)
print(f"{checked} answers accepted")
