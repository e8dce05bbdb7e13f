//! What is done for each command.

use futures_util::{StreamExt, stream};
use reelmill_shared::id::MediaId;
use serde_json::{Value, json};

use crate::{
    arguments::{Arguments, Command, List, Play},
    board::Board,
    config::Config,
    failure::Failure,
    follow::follow,
    http::{Api, Patience},
    show,
    upload::Uploader,
};

/// Most media that the gateway lists at a time.
const PAGE: u32 = 100;
/// How many media are waited for at a time.
const FOLLOWED: usize = 16;

/// Does what was asked; answers with the exit code.
///
/// # Errors
/// What ends the command as a whole. What went wrong with one of several media was told already.
pub(crate) async fn run(arguments: Arguments) -> Result<u8, Failure> {
    let Arguments { connection, json, quiet, command } = arguments;
    let config = Config::new(&connection)?;
    let output = Output { json, board: Board::new(quiet) };
    let api = Api::new(&config.url, &config.key, Patience::BRIEF);
    match command {
        Command::Upload(options) => {
            Uploader::new(&config, &output, &options).run(options.inputs).await
        }
        Command::List(options) => list(&api, &output, &options).await.map(|()| 0),
        Command::Get { ids } => {
            let get = async |id| output.media(&api.get(&media(id, "")).await?);
            output.each(ids, 1, get).await
        }
        Command::Retry { ids, wait } => {
            output.each(ids, FOLLOWED, async |id| retry(&api, &output, id, wait).await).await
        }
        Command::Cancel { ids } => {
            let cancel =
                async |id| output.media(&api.post(&media(id, "/cancel"), &json!({})).await?);
            output.each(ids, 1, cancel).await
        }
        Command::Delete { ids } => {
            let delete = async |id: MediaId| {
                api.delete(&media(id, "")).await?;
                output
                    .result(&json!({ "id": id, "status": "deleted" }), || format!("{id}  deleted"))
            };
            output.each(ids, 1, delete).await
        }
        Command::Play(options) => play(&api, &output, options).await,
    }
}

/// How results and errors are told.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    json: bool,
    pub(crate) board: Board,
}

impl Output {
    /// A result: as JSON, or in words.
    pub(crate) fn result(
        &self,
        json: &Value,
        words: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let text = if self.json { json.to_string() } else { words() };
        self.board.aside(|| show::print(&text))
    }

    fn media(&self, media: &Value) -> Result<(), Failure> {
        self.result(media, || show::media(media))
    }

    /// Tells of a failure that does not end the command.
    pub(crate) fn failure(&self, failure: &Failure) {
        self.board.aside(|| eprintln!("error: {failure}"));
    }

    /// Does something with each of `items`, `parallel` at a time; answers with the highest exit code.
    pub(crate) async fn each<T: ToString + Clone>(
        &self,
        items: impl IntoIterator<Item = T>,
        parallel: usize,
        action: impl AsyncFn(T) -> Result<(), Failure>,
    ) -> Result<u8, Failure> {
        let action = &action;
        let each = stream::iter(items).map(|item| async move {
            action(item.clone()).await.map_err(|failure| failure.about(&item.to_string()))
        });
        let mut each = std::pin::pin!(each.buffer_unordered(parallel));
        let mut code = 0;
        while let Some(ended) = each.next().await {
            if let Err(failure) = ended {
                if failure.exit_code() == show::NOBODY_READS {
                    return Err(failure);
                }
                self.failure(&failure);
                code = code.max(failure.exit_code());
            }
        }
        Ok(code)
    }
}

fn media(id: MediaId, rest: &str) -> String {
    format!("/api/media/{id}{rest}")
}

async fn list(api: &Api, output: &Output, options: &List) -> Result<(), Failure> {
    let mut left = if options.all { u32::MAX } else { options.limit };
    let mut cursor = None::<String>;
    let mut heading = Some(show::HEADING);
    loop {
        let mut query = format!("limit={}", left.min(PAGE));
        let filters = [("status", &options.status), ("cursor", &cursor)];
        for (name, value) in
            filters.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)))
        {
            query += &format!("&{name}=");
            query.extend(url::form_urlencoded::byte_serialize(value.as_bytes()));
        }
        let page = api.get(&format!("/api/media?{query}")).await?;
        for media in page["items"].as_array().into_iter().flatten() {
            output.result(media, || {
                let heading =
                    heading.take().map_or(String::new(), |heading| format!("{heading}\n"));
                heading + &show::row(media)
            })?;
            left -= 1;
        }
        cursor = page["nextCursor"].as_str().map(str::to_owned);
        if left == 0 || cursor.is_none() {
            return Ok(());
        }
    }
}

async fn retry(api: &Api, output: &Output, id: MediaId, wait: bool) -> Result<(), Failure> {
    // A repetition would be refused as one retry too many.
    let mut found = api.with(Patience::NONE).post(&media(id, "/retry"), &json!({})).await?;
    if wait {
        let line = output.board.line(&id.to_string());
        found = follow(&api.with(Patience::LONG), id, &line).await?;
    }
    output.media(&found)?;
    match found["status"].as_str() {
        Some("failed") => Err(Failure::of_media(&found["error"])),
        _ => Ok(()),
    }
}

async fn play(api: &Api, output: &Output, options: Play) -> Result<u8, Failure> {
    let Play { ids, expires_in, viewer } = options;
    let mut body = json!({});
    if let Some(seconds) = expires_in {
        body["expiresIn"] = seconds.into();
    }
    if let Some(viewer) = viewer {
        body["viewer"] = viewer.into();
    }
    let play = async |id: MediaId| {
        let signed = api.post(&media(id, "/playback"), &body).await?;
        output.result(&signed, || format!("{id}\n{}", show::playback(&signed)))
    };
    output.each(ids, 1, play).await
}
