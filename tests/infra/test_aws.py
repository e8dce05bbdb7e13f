"""infra/aws/template.yaml: what SAM makes of it is made in moto, and looked at through the APIs."""

import json
import logging
import os
import re
import unittest
import warnings
from pathlib import Path

# moto takes any credentials; without them boto3 would look for somebody's.
os.environ.update(AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing", AWS_DEFAULT_REGION="eu-central-1")

import boto3
import yaml
from moto import mock_aws
from samtranslator.public.translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform

# Kinds of resources that moto does not make are looked at in the template instead.
warnings.filterwarnings("ignore", "Tried to parse AWS::")
logging.getLogger("moto").setLevel(logging.CRITICAL)
logging.getLogger("samtranslator").setLevel(logging.CRITICAL)

TEMPLATE = Path(__file__).parents[2] / "infra/aws/template.yaml"
IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/reelmill-handler:1"
SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short functions."""


def function(loader, suffix, node):
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


Loader.add_multi_constructor("!", function)


def template():
    return yaml.load(TEMPLATE.read_text(), Loader)


class Policies(ManagedPolicyLoader):
    """No policy of AWS's own is used, so none has to be asked for."""

    def __init__(self):
        super().__init__(None)

    def load(self):
        return {}


def translated(**parameters):
    values = {"ImageUri": IMAGE, **parameters}
    return transform(template(), values, Policies())


def as_list(value):
    return value if isinstance(value, list) else [value]


class Stack(unittest.TestCase):
    """The stack as it stands in an account, as far as moto knows CloudFormation."""

    @classmethod
    def setUpClass(cls):
        mock = mock_aws()
        mock.start()
        cls.addClassCleanup(mock.stop)
        boto3.client("secretsmanager").create_secret(Name="reelmill/handler-webhook-secret", SecretString=SECRET)
        cloudformation = boto3.client("cloudformation")
        parameters = {"ImageUri": IMAGE, "CreateBucket": "true"}
        cloudformation.create_stack(
            StackName="reelmill",
            TemplateBody=json.dumps(translated(**parameters)),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        (stack,) = cloudformation.describe_stacks(StackName="reelmill")["Stacks"]
        assert stack["StackStatus"] == "CREATE_COMPLETE", stack
        cls.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def queue(self, output):
        client = boto3.client("sqs")
        return client.get_queue_attributes(QueueUrl=self.outputs[output], AttributeNames=["All"])["Attributes"]

    def test_a_job_that_is_never_taken_for_good_goes_to_the_dead_letters(self):
        jobs, dead = self.queue("QueueUrl"), self.queue("DeadLetterQueueUrl")
        redrive = json.loads(jobs["RedrivePolicy"])
        self.assertEqual(redrive["deadLetterTargetArn"], dead["QueueArn"])
        self.assertEqual(redrive["maxReceiveCount"], 3)
        self.assertGreater(int(dead["MessageRetentionPeriod"]), int(jobs["MessageRetentionPeriod"]))

    def test_a_message_stays_away_while_the_function_may_still_work_on_it(self):
        function = boto3.client("lambda").get_function_configuration(FunctionName=self.outputs["HandlerFunction"])
        self.assertEqual(int(self.queue("QueueUrl")["VisibilityTimeout"]), 6 * function["Timeout"])

    def test_the_queue_calls_the_function_a_job_at_a_time_and_hears_which_failed(self):
        (source,) = boto3.client("lambda").list_event_source_mappings()["EventSourceMappings"]
        self.assertEqual(source["EventSourceArn"], self.queue("QueueUrl")["QueueArn"])
        self.assertEqual(source["BatchSize"], 1)
        mapping = translated()["Resources"]["HandlerJobs"]["Properties"]
        self.assertEqual(mapping["FunctionResponseTypes"], ["ReportBatchItemFailures"])

    def test_the_ledger_is_keyed_as_the_handler_writes_it(self):
        table = boto3.client("dynamodb").describe_table(TableName=self.outputs["LedgerTable"])["Table"]
        self.assertEqual(table["KeySchema"], [{"AttributeName": "job", "KeyType": "HASH"}])
        self.assertEqual(table["BillingModeSummary"]["BillingMode"], "PAY_PER_REQUEST")


class Template(unittest.TestCase):
    """What moto does not make, as CloudFormation would get it."""

    @classmethod
    def setUpClass(cls):
        cls.resources = {name: each.get("Properties", {}) for name, each in translated()["Resources"].items()}

    def test_the_ledger_forgets_what_the_handler_lets_expire(self):
        ttl = self.resources["Ledger"]["TimeToLiveSpecification"]
        self.assertEqual(ttl, {"AttributeName": "expiresAt", "Enabled": True})

    def test_the_function_is_the_image_with_all_that_lambda_has(self):
        handler = self.resources["Handler"]
        self.assertEqual((handler["PackageType"], handler["Code"]), ("Image", {"ImageUri": {"Ref": "ImageUri"}}))
        self.assertEqual((handler["MemorySize"], handler["EphemeralStorage"]), (10240, {"Size": 10240}))

    def test_secrets_are_references(self):
        variables = self.resources["Handler"]["Environment"]["Variables"]
        for name in ("HANDLER_WEBHOOK_SECRET", "REELMILL_S3_ACCESS_KEY_ID", "REELMILL_S3_SECRET_ACCESS_KEY"):
            self.assertIn("{{resolve:secretsmanager:", json.dumps(variables[name]))

    def test_the_handler_reads_every_variable(self):
        code = "".join(path.read_text() for path in (TEMPLATE.parents[2] / "gpu-handler/src").rglob("*.rs"))
        for name in self.resources["Handler"]["Environment"]["Variables"]:
            self.assertIn(f'"{name}"', code)

    def test_queues_and_bucket_are_reached_by_tls_alone(self):
        for policy in ("TlsOnly", "BucketPolicy"):
            (statement,) = self.resources[policy]["PolicyDocument"]["Statement"]
            self.assertEqual((statement["Effect"], statement["Principal"]), ("Deny", "*"))
            self.assertEqual(statement["Condition"], {"Bool": {"aws:SecureTransport": "false"}})

    def test_the_bucket_is_nobody_elses_and_there_only_where_it_is_wanted(self):
        bucket = translated()["Resources"]["Bucket"]
        self.assertEqual(bucket["Condition"], "HasBucket")
        self.assertTrue(all(bucket["Properties"]["PublicAccessBlockConfiguration"].values()))
        (rule,) = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
        self.assertEqual(rule["AbortIncompleteMultipartUpload"], {"DaysAfterInitiation": 7})

    def test_alarms(self):
        alarms = [each for name, each in self.resources.items() if name.endswith("Alarm")]
        self.assertEqual(
            {alarm["MetricName"] for alarm in alarms},
            {"ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage", "Errors", "Throttles", "Duration"},
        )
        (duration,) = (alarm["Threshold"] for alarm in alarms if alarm["MetricName"] == "Duration")
        self.assertLess(duration, 1000 * self.resources["Handler"]["Timeout"])


class Permissions(unittest.TestCase):
    """Who may do what: exactly this, and never everything."""

    def statements(self, resource):
        return resource["Properties"]["PolicyDocument"]["Statement"]

    def actions(self, statements):
        return {action for statement in statements for action in as_list(statement["Action"])}

    def test_the_handler(self):
        resources = translated()["Resources"]
        role = resources["HandlerRole"]["Properties"]
        self.assertNotIn("ManagedPolicyArns", role)
        (policy,) = role["Policies"]
        self.assertEqual(
            self.actions(policy["PolicyDocument"]["Statement"]),
            {
                "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes",
                "dynamodb:GetItem", "dynamodb:UpdateItem",
                "logs:CreateLogStream", "logs:PutLogEvents",
            },
        )
        storage = self.statements(resources["HandlerStorage"])
        self.assertEqual(self.actions(storage), {"s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"})
        self.assertEqual(
            [statement["Resource"] for statement in storage],
            [{"Fn::Sub": "${Bucket.Arn}/${SourcePrefix}*"}, {"Fn::Sub": "${Bucket.Arn}/${OutputPrefix}*"}],
        )

    def test_the_ledger_asks_for_nothing_else(self):
        code = (TEMPLATE.parents[2] / "gpu-handler/src/ledger.rs").read_text()
        calls = set(re.findall(r"\.((?:get|put|update|delete|batch_\w+|transact_\w+)_items?|query|scan)\(\)", code))
        self.assertEqual(calls, {"get_item", "update_item"})

    def test_the_gateway_may_send_and_nothing_else(self):
        (statement,) = self.statements(translated()["Resources"]["GatewayMaySend"])
        self.assertEqual(statement["Action"], "sqs:SendMessage")
        self.assertEqual(statement["Resource"], {"Fn::GetAtt": ["Jobs", "Arn"]})

    def test_nobody_is_allowed_everything(self):
        def allowed(value):
            if isinstance(value, dict):
                if value.get("Effect") == "Allow":
                    yield value
                for inner in value.values():
                    yield from allowed(inner)
            elif isinstance(value, list):
                for inner in value:
                    yield from allowed(inner)

        statements = list(allowed(translated()["Resources"]))
        self.assertGreaterEqual(len(statements), 6)
        for statement in statements:
            for action in as_list(statement["Action"]):
                self.assertNotIn("*", action)
            for resource in as_list(statement.get("Resource", [])):
                self.assertNotEqual(resource, "*")

    def test_no_secret_is_a_parameter(self):
        secret = [name for name in template()["Parameters"] if "Secret" in name or "Key" in name]
        self.assertEqual(secret, ["WebhookSecretName", "WebhookSecretVersion", "S3SecretName"])


if __name__ == "__main__":
    unittest.main()
