//! What tells the process to stop.

use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum StopSignal {
    /// SIGTERM: from a supervisor.
    Terminate,
    /// SIGINT: from a person at a terminal.
    Interrupt,
}

/// Both signals, listened to.
pub(super) struct StopSignals {
    terminate: Option<Signal>,
    interrupt: Option<Signal>,
}

impl StopSignals {
    /// Listens from this call on: whoever reads that the service listens may stop it at once.
    pub(super) fn listen() -> Self {
        let listen = |kind: SignalKind| {
            signal(kind)
                .inspect_err(|error| tracing::error!(%error, "a signal can't be waited for and ends this process at once"))
                .ok()
        };
        Self { terminate: listen(SignalKind::terminate()), interrupt: listen(SignalKind::interrupt()) }
    }

    pub(super) async fn next(&mut self) -> StopSignal {
        async fn received(signal: &mut Option<Signal>) {
            match signal {
                Some(signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        }
        tokio::select! {
            () = received(&mut self.terminate) => {
                tracing::info!("SIGTERM: stopping");
                StopSignal::Terminate
            }
            () = received(&mut self.interrupt) => {
                tracing::info!("SIGINT: stopping");
                StopSignal::Interrupt
            }
        }
    }
}
