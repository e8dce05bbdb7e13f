//! A source on its way from a scripted server to a gateway of the tests.

use std::{net::IpAddr, time::Duration};

use backon::ExponentialBuilder;
use gpu_handler::{
    client::client,
    ingest::{Ingester, Options, guard::Guard},
    stop::Stop,
    tracker::Tracker,
};
use reelmill_shared::{
    id::MediaId,
    job::{
        Callback, Failure, FailureCode, INGEST, IngestSpec, JOB_VERSION, JobReport, Kind, Outcome,
        Progress,
    },
    source_url::SourceUrl,
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::tus::{Fate, Gateway};

/// Bytes of one piece.
pub(crate) const PIECE: usize = 64 << 10;
/// Not a multiple of anything.
pub(crate) const SIZE: usize = 300_007;

/// Something that could be media: it begins as MP4 does.
pub(crate) fn content() -> Vec<u8> {
    let mut bytes = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41".to_vec();
    bytes.extend((bytes.len()..SIZE).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8));
    bytes
}

/// SHA-256 as reports tell it.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The loopback address that servers of the tests listen on stands for the internet, and every
/// other for what must not be reached.
pub(crate) fn one_loopback(address: IpAddr) -> bool {
    address == IpAddr::from([127, 0, 0, 1])
}

/// One download.
pub(crate) struct Ingest {
    pub(crate) gateway: Gateway,
    pub(crate) guard: Guard,
    pub(crate) options: Options,
    pub(crate) spec: IngestSpec,
    pub(crate) stop: Stop,
}

impl Ingest {
    /// Of what is at `url`, to a gateway without faults.
    pub(crate) async fn of(url: &str) -> Self {
        Self::to(url, |_| Fate::Stored).await
    }

    /// Of what is at `url`, to a gateway with these.
    pub(crate) async fn to(
        url: &str,
        fate: impl Fn(usize) -> Fate + Send + Sync + 'static,
    ) -> Self {
        let gateway = Gateway::start(fate).await;
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(1))
            .with_max_delay(Duration::from_millis(5))
            .with_max_times(4);
        let options = Options {
            piece: PIECE,
            wall: Duration::from_secs(60),
            idle: Duration::from_secs(20),
            backoff,
            most: 1 << 40,
        };
        let upload_url = gateway.url();
        let spec = IngestSpec {
            version: JOB_VERSION,
            kind: Kind::Ingest,
            media_id: MediaId::new(Uuid::from_u128(1)),
            attempt: INGEST + 1,
            source_url: SourceUrl::parse(url).expect("a URL"),
            size: None,
            max_bytes: 10_000_000,
            callback: Callback {
                report_url: upload_url.clone(),
                progress_url: upload_url.clone(),
                lease_seconds: 60,
            },
            upload_url,
        };
        let guard = Guard::with(gpu_handler::ingest::guard::System, one_loopback);
        Self { gateway, guard, options, spec, stop: Stop::default() }
    }

    /// Runs it; gives its report and what it last told of itself.
    pub(crate) async fn report(&mut self) -> (JobReport, Progress) {
        let guard = std::mem::replace(&mut self.guard, Guard::new(false));
        let ingester = Ingester::new(client().expect("a client"), guard, self.options);
        let tracker = Tracker::new(self.spec.media_id, self.spec.attempt);
        let report = ingester.run(&self.spec, &tracker, &self.stop).await.report;
        let progress = tracker.subscribe().borrow().clone();
        (report, progress)
    }

    /// Runs it, and what arrived is `expected`, whole and just once.
    pub(crate) async fn brings(&mut self, expected: &[u8]) {
        let (report, progress) = self.report().await;
        assert!(matches!(report.outcome, Outcome::Completed { .. }), "{report:?}");
        assert_eq!(report.source_sha256, Some(sha256(expected)));
        assert_eq!(report.metrics.input_bytes, expected.len() as u64);
        assert_eq!((progress.percent, progress.bytes), (100.0, Some(expected.len() as u64)));
        let desk = self.gateway.desk.lock().expect("a lock");
        assert!(desk.complete(), "{:?} of {}", desk.length, desk.bytes.len());
        assert!(desk.bytes == expected, "other bytes arrived");
        assert!(desk.largest <= PIECE, "a piece of {}", desk.largest);
    }

    /// Runs it, and it fails.
    pub(crate) async fn fails(&mut self, code: FailureCode) -> Failure {
        let (report, _) = self.report().await;
        let Outcome::Failed { error } = report.outcome else { panic!("it did not fail") };
        assert_eq!(error.code, code, "{error}");
        assert!(!error.message.contains("127.0.0"), "{error}");
        assert!(!self.gateway.desk.lock().expect("a lock").complete(), "it is stored all the same");
        error
    }

    /// How many uploads were begun.
    pub(crate) fn creations(&self) -> usize {
        self.gateway.desk.lock().expect("a lock").creations
    }
}
