//! A service as it is seen over a line on which some files are late.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use futures_util::stream::unfold;
use mohaa_stats::simulate::courier;

/// Such a line.
pub struct SlowFiles {
    pub url: String,
    server: ServerHandle,
}

struct Origin {
    url: String,
    slow: &'static str,
}

impl SlowFiles {
    /// `slow` is what their paths hold.
    pub fn before(origin: &str, slow: &'static str) -> Self {
        let origin = Data::new(Origin { url: origin.to_owned(), slow });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let application = move || App::new().app_data(origin.clone()).default_service(web::to(pass_on));
        let server =
            HttpServer::new(application).workers(1).disable_signals().listen(listener).unwrap().run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self { url, server: handle }
    }

    pub async fn close(self) {
        self.server.stop(false).await;
    }
}

async fn pass_on(origin: Data<Origin>, request: HttpRequest) -> HttpResponse {
    if request.path().contains(origin.slow) {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let mut asked = courier::client().unwrap().get(format!("{}{}", origin.url, request.uri()));
    for (name, value) in request.headers().iter().filter(|(name, _)| name.as_str().starts_with("hx-")) {
        asked = asked.header(name.as_str(), value.as_bytes());
    }
    let answer = asked.send().await.unwrap();
    let mut passed = HttpResponse::build(StatusCode::from_u16(answer.status().as_u16()).unwrap());
    passed.insert_header(("Content-Type", answer.headers()["content-type"].as_bytes()));
    passed.streaming(unfold(answer, async |mut answer| Some((answer.chunk().await.transpose()?, answer))))
}
