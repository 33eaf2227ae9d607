//! The least that could be done: an actix-web handler that parses a body to events and says how many, and one that answers so many
//! bytes.

use std::hint::black_box;
use std::io::{self, Read, Write};

use actix_web::web::{self, Bytes, PayloadConfig};
use actix_web::{App, HttpResponse, HttpServer};
use mohaa_hot::mirror;

/// The service's own bound.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Listens on a free port, says so as the service does, and runs until standard input ends.
///
/// # Errors
/// When it can't listen.
pub fn serve() -> io::Result<()> {
    actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(|| {
            App::new()
                .app_data(PayloadConfig::new(MAX_BODY_BYTES))
                .route("/api/v1/ingest/events", web::post().to(parse))
                .route("/static/{bytes}", web::get().to(static_answer))
        })
        .disable_signals()
        .bind("127.0.0.1:0")?;
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        let mut output = io::stdout();
        writeln!(output, "listening on http://{address}")?;
        output.flush()?;
        // Whoever started it holds the other end, and lets go when it ends, however it ends.
        let end_of_input = actix_web::rt::task::spawn_blocking(|| io::stdin().read_to_end(&mut Vec::new()));
        actix_web::rt::spawn(async move {
            // An input that can't be read has no other end either.
            let _ = end_of_input.await;
            handle.stop(false).await;
        });
        server.await
    })
}

async fn parse(body: Bytes) -> HttpResponse {
    match mirror::events_of(&body) {
        Ok(events) => {
            HttpResponse::Accepted().content_type("application/json").body(answer(black_box(&events).len()))
        }
        Err(error) => HttpResponse::BadRequest().body(error.to_string()),
    }
}

/// Answers so many bytes that it has.
async fn static_answer(bytes: web::Path<usize>) -> HttpResponse {
    static ANSWER: [u8; MAX_BODY_BYTES] = [b'.'; MAX_BODY_BYTES];
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .body(Bytes::from_static(&ANSWER[..(*bytes).min(MAX_BODY_BYTES)]))
}

/// What the service answers for so many events, none of them rejected.
pub fn answer(events: usize) -> String {
    format!(r#"{{"status":"accepted","processed":{events},"rejected":0,"errors":[]}}"#)
}
