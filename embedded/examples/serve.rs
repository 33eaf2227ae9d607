//! Runs the embedded stores on a data directory until SIGTERM or SIGINT: `serve DATA_DIR`.
//! Prints `ready` when they answer; the URLs are in `DATA_DIR/stores.env`.

use std::path::PathBuf;

use mohaa_embedded::EmbeddedStores;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let data_dir = std::env::args_os().nth(1).map(PathBuf::from).ok_or("usage: serve DATA_DIR")?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stores = EmbeddedStores::start(&data_dir).await?;
    println!("ready");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stores.stop().await;
    Ok(())
}
