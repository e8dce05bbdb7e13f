//! Core protocol.

use anyhow::{Result, ensure};
use e2e::api::Answer;
use reqwest::Method;

use super::{
    clause,
    client::{number, send},
    start,
};

/// Section “Headers”.
#[tokio::test]
async fn headers() -> Result<()> {
    let (_stack, _handler, tus) = start().await?;
    let url = tus.create(10).await?;

    clause("Upload-Offset: The value MUST be a non-negative integer.", async {
        for bad in ["-1", "1e1", "+0", "x", "", "0, 0", "9223372036854775808"] {
            let answer = send(tus.patching(&url, bad).body("hello")).await?;
            answer.expect_problem(400, "invalid_upload_offset")?;
        }
        let answer = send(
            tus.request(Method::PATCH, &url)
                .header("content-type", "application/offset+octet-stream")
                .body("hello"),
        );
        answer.await?.expect_problem(400, "invalid_upload_offset")?;
        ensure!(tus.offset(&url).await? == 0);
        Ok(())
    })
    .await?;

    clause("Upload-Length: The value MUST be a non-negative integer.", async {
        for bad in ["-1", "1e3", "+5", "5.0", "x", "", "5, 5", "9223372036854775808"] {
            let answer = send(tus.creation().header("upload-length", bad)).await?;
            answer.expect_problem(400, "invalid_upload_length")?;
        }
        Ok(())
    })
    .await?;

    clause(
        "The Tus-Resumable header MUST be included in every request and response except for \
         OPTIONS requests. … If the version specified by the Client is not supported by the \
         Server, it MUST respond with the 412 Precondition Failed status and MUST include the \
         Tus-Version header into the response. In addition, the Server MUST NOT process the \
         request.",
        async {
            for version in [None, Some("0.2.2"), Some("2.0.0")] {
                for method in [Method::HEAD, Method::PATCH, Method::DELETE] {
                    let mut request = tus
                        .bare(method.clone(), &url)
                        .header("upload-offset", 0)
                        .header("content-type", "application/offset+octet-stream")
                        .body("hello");
                    if let Some(version) = version {
                        request = request.header("tus-resumable", version);
                    }
                    let answer = send(request).await?;
                    ensure!(answer.status == 412, "{method}: {}", answer.status);
                    ensure!(answer.header("tus-version") == "1.0.0");
                }
            }
            ensure!(tus.offset(&url).await? == 0);
            let answer = send(tus.bare(Method::POST, &tus.base).header("upload-length", 1)).await?;
            answer.expect_problem(412, "tus_version_unsupported")
        },
    )
    .await?;

    clause(
        "X-HTTP-Method-Override … MUST be interpreted as the request's method by the Server, if \
         the header is presented. The actual method of the request MUST be ignored.",
        async {
            for actual in [Method::POST, Method::GET] {
                let at = tus.offset(&url).await?;
                let request = tus
                    .patching(&url, at)
                    .header("x-http-method-override", "PATCH")
                    .body("hello")
                    .build()?;
                let (mut request, method) = (request, actual);
                *request.method_mut() = method;
                let answer = Answer::of(reqwest::Client::new().execute(request).await?).await?;
                answer.expect(204)?;
                ensure!(number(&answer, "upload-offset")? == at + 5);
            }
            let other = tus.create(10).await?;
            let request = tus.request(Method::POST, &other);
            send(request.header("x-http-method-override", "DELETE")).await?.expect(204)?;
            ensure!(tus.head(&other).await?.status == 410);
            let request = tus.creation().header("x-http-method-override", "PUT");
            send(request).await?.expect_problem(405, "method_not_allowed")
        },
    )
    .await
}

/// Section “HEAD”.
#[tokio::test]
async fn head() -> Result<()> {
    let (_stack, _handler, tus) = start().await?;
    let url = tus.create(5).await?;

    clause(
        "The Server MUST always include the Upload-Offset header in the response for a HEAD \
         request, even if the offset is 0, or the upload is already considered completed. If the \
         size of the upload is known, the Server MUST include the Upload-Length header in the \
         response.",
        async {
            for offset in [0, 2, 5] {
                let answer = tus.head(&url).await?;
                ensure!(number(&answer, "upload-offset")? == offset);
                ensure!(number(&answer, "upload-length")? == 5);
                ensure!(answer.headers.get("upload-defer-length").is_none());
                if offset < 5 {
                    let more = if offset == 0 { "he" } else { "llo" };
                    tus.append(&url, offset, more).await?;
                }
            }
            Ok(())
        },
    )
    .await?;

    clause(
        "If the resource is not found, the Server SHOULD return either the 404 Not Found, 410 \
         Gone or 403 Forbidden status without the Upload-Offset header.",
        async {
            let unknown = format!("{}/upl_{}", tus.base, "0".repeat(32));
            for url in [unknown, format!("{}/x", tus.base), format!("{}/..%2F", tus.base)] {
                let answer = tus.head(&url).await?;
                ensure!(answer.status == 404, "{url}: {}", answer.status);
                ensure!(answer.headers.get("upload-offset").is_none());
                ensure!(answer.body.is_empty());
            }
            Ok(())
        },
    )
    .await?;

    clause(
        "The Server SHOULD acknowledge successful HEAD requests with a 200 OK or 204 No Content \
         status. The Server MUST prevent the client and/or proxies from caching the response by \
         adding the Cache-Control: no-store header to the response.",
        async {
            let answer = tus.head(&url).await?;
            ensure!(answer.status == 200 && answer.body.is_empty());
            ensure!(answer.header("cache-control") == "no-store");
            Ok(())
        },
    )
    .await
}

/// Section “PATCH”.
#[tokio::test]
async fn patch() -> Result<()> {
    let (_stack, handler, tus) = start().await?;
    let url = tus.create(20).await?;

    clause(
        "All PATCH requests MUST use Content-Type: application/offset+octet-stream, otherwise the \
         server SHOULD return a 415 Unsupported Media Type status.",
        async {
            for kind in ["application/octet-stream", "text/plain"] {
                let request = tus.request(Method::PATCH, &url).header("upload-offset", 0);
                let answer = send(request.header("content-type", kind).body("hello")).await?;
                answer.expect_problem(415, "unsupported_content_type")?;
            }
            let request = tus.request(Method::PATCH, &url).header("upload-offset", 0);
            send(request.body("x")).await?.expect_problem(415, "unsupported_content_type")
        },
    )
    .await?;

    clause(
        "The Upload-Offset header's value MUST be equal to the current offset of the resource. … \
         If the offsets do not match, the Server MUST respond with the 409 Conflict status \
         without modifying the upload resource.",
        async {
            tus.append(&url, 0, "hello").await?;
            for offset in [0, 4, 6, 20, 21] {
                let answer = tus.patch(&url, offset, "x").await?;
                answer.expect_problem(409, "offset_mismatch")?;
            }
            ensure!(tus.offset(&url).await? == 5);
            Ok(())
        },
    )
    .await?;

    clause(
        "The Server MUST acknowledge successful PATCH requests with the 204 No Content status. It \
         MUST include the Upload-Offset header containing the new offset. The new offset MUST be \
         the sum of the offset before the PATCH request and the number of bytes received and \
         processed or stored during the current PATCH request.",
        async {
            ensure!(tus.append(&url, 5, " wor").await? == 9);
            // Nothing is a number of bytes too.
            ensure!(tus.append(&url, 9, "").await? == 9);
            // And so are those whose number nobody told beforehand.
            let body = futures_util::stream::iter([Ok::<_, std::io::Error>("ld, "), Ok("how")]);
            ensure!(tus.append(&url, 9, reqwest::Body::wrap_stream(body)).await? == 16);
            ensure!(tus.append(&url, 16, " are").await? == 20);
            ensure!(tus.append(&url, 20, "").await? == 20, "a completed upload may be asked again");
            ensure!(tus.stored(&url, &handler).await? == b"hello world, how are");
            // Also where nothing was ever sent, and the media has its source all the same.
            let empty = tus.create(0).await?;
            ensure!(tus.append(&empty, 0, "").await? == 0);
            Ok(())
        },
    )
    .await?;

    clause(
        "If the server receives a PATCH request against a non-existent resource it SHOULD return \
         a 404 Not Found status.",
        async {
            let unknown = format!("{}/upl_{}", tus.base, "0".repeat(32));
            tus.patch(&unknown, 0, "x").await?.expect_problem(404, "upload_not_found")
        },
    )
    .await
    // “The Server SHOULD always attempt to store as much of the received data as possible”: see
    // `survival`.
}

/// Section “OPTIONS”, and CORS beyond it.
#[tokio::test]
async fn options() -> Result<()> {
    let (_stack, _handler, tus) = start().await?;
    let url = tus.create(5).await?;

    clause(
        "A successful response indicated by the 204 No Content or 200 OK status MUST contain the \
         Tus-Version header. It MAY include the Tus-Extension and Tus-Max-Size headers. The \
         Client SHOULD NOT include the Tus-Resumable header in the request and the Server MUST \
         ignore the header.",
        async {
            for version in [None, Some("1.0.0"), Some("0.0.1")] {
                for url in [&tus.base, &url] {
                    let mut request = tus.bare(Method::OPTIONS, url);
                    if let Some(version) = version {
                        request = request.header("tus-resumable", version);
                    }
                    let answer = send(request).await?;
                    ensure!(answer.status == 204);
                    ensure!(answer.header("tus-version") == "1.0.0");
                    ensure!(number(&answer, "tus-max-size")? == 1 << 40);
                    ensure!(answer.header("tus-checksum-algorithm") == "sha1,sha256");
                }
            }
            Ok(())
        },
    )
    .await?;

    clause("the Server MUST add … to the Tus-Extension header (each extension)", async {
        let answer = send(tus.bare(Method::OPTIONS, &tus.base)).await?;
        let extensions: Vec<_> = answer.header("tus-extension").split(',').collect();
        let offered = [
            "creation",
            "creation-with-upload",
            "creation-defer-length",
            "expiration",
            "checksum",
            "termination",
            "concatenation",
        ];
        ensure!(extensions == offered, "{extensions:?}");
        Ok(())
    })
    .await?;

    // A browser asks before it sends, and reads only what it is allowed to.
    let preflight = tus
        .bare(Method::OPTIONS, &url)
        .header("origin", "https://app.example")
        .header("access-control-request-method", "PATCH")
        .header("access-control-request-headers", "tus-resumable,upload-offset,content-type");
    let answer = send(preflight).await?;
    assert_eq!(answer.status, 204);
    assert!(answer.header("access-control-allow-methods").contains("PATCH"));
    let allowed = answer.header("access-control-allow-headers").to_ascii_lowercase();
    for header in [
        "tus-resumable",
        "upload-offset",
        "upload-length",
        "upload-defer-length",
        "upload-metadata",
        "upload-concat",
        "upload-checksum",
        "x-http-method-override",
        "x-requested-with",
        "x-request-id",
        "content-type",
        "authorization",
    ] {
        assert!(allowed.split(", ").any(|known| known == header), "{header}: {allowed}");
    }
    let answer = tus.head(&url).await?;
    let exposed = answer.header("access-control-expose-headers").to_ascii_lowercase();
    for header in [
        "location",
        "upload-offset",
        "upload-length",
        "upload-defer-length",
        "upload-metadata",
        "upload-expires",
        "upload-concat",
        "tus-resumable",
        "tus-version",
        "tus-extension",
        "tus-max-size",
        "tus-checksum-algorithm",
        "reelmill-media-id",
    ] {
        assert!(exposed.split(", ").any(|known| known == header), "{header}: {exposed}");
    }
    Ok(())
}
