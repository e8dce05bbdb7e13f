//! `reelmill upload`: files by tus, URLs by the gateway's own fetching.

use reelmill_shared::id::MediaId;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use url::Url;
use uuid::Uuid;

use crate::{
    arguments::Upload,
    board::Line,
    commands::Output,
    config::Config,
    failure::{Failure, Kind},
    follow::follow,
    http::{Api, Patience},
    input::{Input, Source},
    resume::{self, Resume},
    show,
    tus::{Ended, Tus, is_over},
};

/// How often an upload that the gateway forgot is begun again.
const BEGINNINGS: usize = 3;
/// For every file that is sent, so many may be waited for.
const WAITING: usize = 8;

/// Everything that the uploads of one command share.
pub(crate) struct Uploader<'a> {
    api: Api,
    tus: Tus,
    config: &'a Config,
    output: &'a Output,
    /// Who may send.
    lanes: Semaphore,
    metadata: Map<String, Value>,
    wait: bool,
    play: bool,
    parallel: usize,
}

impl<'a> Uploader<'a> {
    /// As the options say.
    pub(crate) fn new(config: &'a Config, output: &'a Output, options: &Upload) -> Self {
        let parallel = usize::from(options.parallel);
        let pairs = options.metadata.iter().cloned();
        Self {
            api: Api::new(&config.url, &config.key, Patience::LONG),
            tus: Tus::new(Patience::LONG),
            config,
            output,
            lanes: Semaphore::new(parallel),
            metadata: pairs.map(|(key, value)| (key, value.into())).collect(),
            wait: options.wait || options.play,
            play: options.play,
            parallel,
        }
    }

    /// Uploads all of them; answers with the highest exit code.
    ///
    /// # Errors
    /// A file is missing: then nothing is uploaded.
    pub(crate) async fn run(&self, inputs: Vec<Input>) -> Result<u8, Failure> {
        for input in &inputs {
            if let Input::File(path) = input {
                Source::open(path)?;
            }
        }
        match &self.config.state {
            Some(directory) => resume::tidy(directory, std::time::SystemTime::now()),
            None => self.output.board.aside(|| {
                eprintln!(
                    "note: neither XDG_STATE_HOME nor HOME is set: what is interrupted begins anew"
                );
            }),
        }
        let count = inputs.len();
        let parallel = if self.wait { self.parallel * WAITING } else { self.parallel };
        let done = std::cell::Cell::new(0);
        let each = async |input: Input| {
            self.one(&input).await?;
            done.set(done.get() + 1);
            Ok(())
        };
        let code = self.output.each(inputs, parallel, each).await?;
        if count > 1 {
            let done = done.get();
            self.output
                .board
                .aside(|| eprintln!("{done} of {count} done, {} failed", count - done));
        }
        Ok(code)
    }

    /// One input, to the end that was asked for.
    async fn one(&self, input: &Input) -> Result<(), Failure> {
        let line = self.output.board.line(&input.to_string());
        let (id, resume) = match input {
            Input::File(path) => {
                let source = Source::open(path)?;
                let mut resume = self.memory(&source)?;
                match self.file(&source, &mut resume, &line).await {
                    Ok(id) => (id, Some(resume)),
                    Err(failure) => {
                        // What may go better later is kept for then.
                        if matches!(failure.kind, Kind::Refused | Kind::NotFound | Kind::Failed) {
                            resume.forget();
                        }
                        return Err(failure);
                    }
                }
            }
            Input::Url(url) => {
                line.stage("asking the gateway to fetch it");
                let body = json!({ "source": { "url": url }, "metadata": self.metadata });
                (id(&self.api.create(&body, &Uuid::new_v4().to_string()).await?)?, None)
            }
        };
        let ended = self.finish(id, input, &line).await;
        // An interrupted wait, too, is taken up by the same command.
        if let (Some(resume), true) =
            (resume, !matches!(&ended, Err(failure) if failure.kind == Kind::Unreachable))
        {
            resume.forget();
        }
        ended
    }

    fn memory(&self, source: &Source) -> Result<Resume, Failure> {
        let metadata = json!(self.metadata).to_string();
        let path = source.path.as_os_str().as_encoded_bytes();
        let path = path.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let parts = [&self.config.url, &path, &source.version(), &metadata];
        Resume::open(self.config.state.as_deref(), &parts.map(String::as_str))
    }

    /// Brings a file to the gateway, from wherever an earlier run left it.
    async fn file(
        &self,
        source: &Source,
        resume: &mut Resume,
        line: &Line,
    ) -> Result<MediaId, Failure> {
        let _lane = self.lanes.acquire().await.expect("the lanes are never closed");
        for _ in 0..BEGINNINGS {
            if let Some(id) = self.attempt(source, resume, line).await? {
                return Ok(id);
            }
        }
        Err(Failure::new(Kind::Unreachable, "the gateway forgot the upload again and again"))
    }

    /// One attempt; `None` if the gateway has forgotten what the attempt was to go on with.
    async fn attempt(
        &self,
        source: &Source,
        resume: &mut Resume,
        line: &Line,
    ) -> Result<Option<MediaId>, Failure> {
        let body =
            json!({ "filename": source.name, "size": source.size, "metadata": self.metadata });
        let key = resume.memory.idempotency_key.to_string();
        let media = match self.api.create(&body, &key).await {
            // Deleted meanwhile, or stored by another version of this program.
            Err(failure)
                if resume.old && matches!(failure.kind, Kind::NotFound | Kind::Refused) =>
            {
                resume.reset()?;
                return Ok(None);
            }
            answer => answer?,
        };
        let id = id(&media)?;
        match media["status"].as_str() {
            Some("uploading") => {}
            // Cancelled, or expired while nobody sent.
            Some("failed") if media["source"].is_null() => {
                if resume.old {
                    resume.reset()?;
                    return Ok(None);
                }
                return Err(Failure::of_media(&media["error"]));
            }
            // The last answer of an earlier run did not arrive.
            _ => return Ok(Some(id)),
        }
        line.bytes("uploading", source.size);
        let upload = match &resume.memory.upload {
            Some(upload) => upload.clone(),
            None => match self.tus.create(&endpoint(&media)?, source.size).await {
                Err(failure) if is_over(&failure) => return Ok(None),
                created => created?,
            },
        };
        resume.memory.upload = Some(upload.clone());
        resume.save()?;
        match self.tus.send(&upload, source, line).await? {
            Ended::Complete => Ok(Some(id)),
            Ended::Lost => {
                resume.memory.upload = None;
                resume.save()?;
                Ok(None)
            }
        }
    }

    /// Waits if that was asked for, and prints what came of it.
    async fn finish(&self, id: MediaId, input: &Input, line: &Line) -> Result<(), Failure> {
        let mut media = if self.wait {
            line.stage("waiting for the handler");
            follow(&self.api, id, line).await?
        } else {
            self.api.get(&format!("/api/media/{id}")).await?
        };
        let name = show::printable(&input.to_string());
        if media["status"] == "failed" {
            self.output.result(&media, || format!("{name}  {id}"))?;
            return Err(Failure::of_media(&media["error"]));
        }
        if !self.play {
            return self.output.result(&media, || format!("{name}  {id}"));
        }
        let playback = self.api.post(&format!("/api/media/{id}/playback"), &json!({})).await?;
        let urls = show::playback(&playback);
        media["playback"] = playback;
        self.output.result(&media, || format!("{name}  {id}\n{urls}"))
    }
}

fn id(media: &Value) -> Result<MediaId, Failure> {
    let id = media["id"].as_str().and_then(|id| id.parse().ok());
    id.ok_or_else(|| {
        Failure::new(Kind::Unreachable, "the answer has no media id: is this a Reelmill gateway?")
    })
}

/// Where a media takes a tus upload.
fn endpoint(media: &Value) -> Result<Url, Failure> {
    let url = media["upload"]["tus"]["url"].as_str().and_then(|url| url.parse().ok());
    url.ok_or_else(|| Failure::new(Kind::Refused, "the gateway offers no resumable upload"))
}
