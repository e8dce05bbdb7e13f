//! Extension Expiration.

use anyhow::{Result, ensure};
use e2e::wait::until;
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};

use super::{
    MIB, Tus, bytes, clause,
    client::{nothing_in_r2, send},
    start,
};
use crate::{SOON, with_stand_in};

fn expires(answer: &e2e::api::Answer) -> Result<Timestamp> {
    let text = answer.header("upload-expires");
    ensure!(text.len() == 29 && text.ends_with(" GMT"), "not of the fixed form: `{text}`");
    Ok(rfc2822::DateTimeParser::new().parse_timestamp(text)?)
}

#[tokio::test]
async fn is_announced() -> Result<()> {
    let (_stack, _handler, tus) = start().await?;

    clause(
        "This header MUST be included in every PATCH response if the upload is going to expire. \
         If the expiration is known at the creation, the Upload-Expires header MUST be included in \
         the response to the initial POST request. … The value MUST be in [RFC 9110] date format.",
        async {
            let (begun, day) = (Timestamp::now(), SignedDuration::from_hours(24));
            let created = send(tus.creation().header("upload-length", 5)).await?;
            created.expect(201)?;
            let url = created.header("location");
            let patched = tus.patch(url, 0, "hel").await?;
            let shown = tus.head(url).await?;
            for answer in [&created, &patched, &shown] {
                let at = expires(answer)?;
                let second = SignedDuration::from_secs(1);
                ensure!(at >= begun + day - second && at <= Timestamp::now() + day, "{at}");
            }
            // A finished upload does not expire.
            let done = tus.patch(url, 3, "lo").await?;
            ensure!(done.headers.get("upload-expires").is_none());
            Ok(())
        },
    )
    .await
}

#[tokio::test]
async fn leaves_nothing() -> Result<()> {
    let (stack, _handler) =
        with_stand_in(|options| options.gateway("UPLOAD_TTL_SECONDS", 4)).await?;
    let tus = Tus::new(&stack);

    clause(
        "If a Client does attempt to resume an upload which has since been removed by the Server, \
         the Server SHOULD respond with the 404 Not Found or 410 Gone status. The latter one \
         SHOULD be used if the Server is keeping track of expired uploads.",
        async {
            let url = tus.create(20 * MIB).await?;
            let answer = tus.patch(&url, 0, bytes(17 * MIB)).await?;
            answer.expect(204)?;
            let (id, expires) = (answer.header("reelmill-media-id"), expires(&answer)?);
            until("the upload has expired", SOON, async || {
                Ok((tus.head(&url).await?.status == 410).then_some(()))
            })
            .await?;
            ensure!(Timestamp::now() >= expires, "gone before its time");
            tus.patch(&url, 17 * MIB, "x").await?.expect_problem(410, "upload_gone")?;
            nothing_in_r2(&stack).await?;
            let failed = stack.api().wait_status(id, "failed", SOON).await?;
            ensure!(failed["error"]["code"] == "upload_expired", "{failed}");
            Ok(())
        },
    )
    .await?;

    // “Its value MAY change over time”: each chunk moves it, and the media's own deadline.
    let url = tus.create(100).await?;
    let mut last = Timestamp::UNIX_EPOCH;
    let begun = Timestamp::now();
    until("the upload outlives its first deadline", SOON, async || {
        let offset = tus.offset(&url).await?;
        let answer = tus.patch(&url, offset, "x").await?;
        answer.expect(204)?;
        let at = expires(&answer)?;
        ensure!(at >= last, "it came nearer");
        last = at;
        Ok((Timestamp::now() > begun + SignedDuration::from_secs(6)).then_some(()))
    })
    .await?;
    let id = tus.head(&url).await?.header("reelmill-media-id").to_owned();
    assert_eq!(stack.api().media(&id).await?["status"], "uploading");
    Ok(())
}
