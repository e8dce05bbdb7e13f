//! AWS on this machine: `moto_server`, which `scripts/setup test` installs.

use std::path::Path;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_sdk_sqs::{
    config::{Credentials, SharedCredentialsProvider},
    types::QueueAttributeName,
};
use url::Url;

use crate::Worker;

/// An account that lives as long as this.
#[derive(Debug)]
pub struct Moto {
    _process: Worker,
    /// Where it is reached.
    pub endpoint: Url,
}

impl Moto {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// When it is not installed, or does not start.
    pub async fn start() -> Self {
        let program =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/python/bin/moto_server");
        assert!(program.exists(), "moto is not installed: run scripts/setup test");
        let arguments = ["-H", "127.0.0.1", "-p", "0"];
        let process = Worker::start_with(&program, &arguments, [("PYTHONUNBUFFERED", "1")]);
        let endpoint = process.says("Running on ").await.trim().parse().expect("a URL");
        Self { _process: process, endpoint }
    }

    /// How the SDK reaches it.
    pub fn sdk(&self) -> SdkConfig {
        let keys = Credentials::new("test", "test", None, None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(self.endpoint.as_str())
            .credentials_provider(SharedCredentialsProvider::new(keys))
            .build()
    }

    /// What a worker's environment says of it at `endpoint`, which may be a wire to it.
    pub fn environment(endpoint: &str) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL", endpoint.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "the-access-key".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "the-secret-access-key".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    /// Makes a table as the ledger needs it.
    ///
    /// # Panics
    /// When there is one of that name.
    pub async fn ledger(&self, name: &str) {
        let key = KeySchemaElement::builder().attribute_name("job").key_type(KeyType::Hash);
        let job = AttributeDefinition::builder().attribute_name("job");
        let job = job.attribute_type(ScalarAttributeType::S);
        let client = aws_sdk_dynamodb::Client::new(&self.sdk());
        let table = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
        let table = table.key_schema(key.build().expect("a key"));
        let table = table.attribute_definitions(job.build().expect("an attribute"));
        table.send().await.expect("made");
    }

    /// Makes a queue, and one for its dead letters, to which messages go after so many deliveries. Gives
    /// their URLs.
    ///
    /// # Panics
    /// When they cannot be made.
    pub async fn queue(&self, name: &str, deliveries: u32) -> (String, String) {
        let client = aws_sdk_sqs::Client::new(&self.sdk());
        let dead = client.create_queue().queue_name(format!("{name}-dead")).send().await;
        let dead = dead.expect("made").queue_url.expect("a URL");
        let asked = client.get_queue_attributes().queue_url(&dead);
        let asked = asked.attribute_names(QueueAttributeName::QueueArn).send().await;
        let arn = &asked.expect("told").attributes.expect("told")[&QueueAttributeName::QueueArn];
        let policy =
            format!(r#"{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": {deliveries}}}"#);
        let queue = client.create_queue().queue_name(name);
        let queue = queue.attributes(QueueAttributeName::RedrivePolicy, policy).send().await;
        (queue.expect("made").queue_url.expect("a URL"), dead)
    }
}
