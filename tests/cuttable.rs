//! A TCP proxy that a test can cut: to the client it is then as if the server's process were gone.

use std::sync::Arc;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::Mutex,
    task::{JoinHandle, JoinSet},
};

pub struct CuttableProxy {
    port: u16,
    target: String,
    listening: Mutex<Option<JoinHandle<()>>>,
    connections: Arc<Mutex<JoinSet<()>>>,
}

impl CuttableProxy {
    pub async fn start(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let proxy = Self { port, target, listening: Mutex::default(), connections: Arc::default() };
        proxy.serve(listener).await;
        proxy
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends every connection and refuses new ones.
    pub async fn cut(&self) {
        if let Some(listening) = self.listening.lock().await.take() {
            listening.abort();
            let _ = listening.await;
        }
        self.connections.lock().await.shutdown().await;
    }

    /// Takes connections again, at the same port.
    pub async fn mend(&self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        self.serve(listener).await;
    }

    async fn serve(&self, listener: TcpListener) {
        let (target, connections) = (self.target.clone(), self.connections.clone());
        let listening = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let target = target.clone();
                connections.lock().await.spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(target).await {
                        // Either side may end the connection as it likes.
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        *self.listening.lock().await = Some(listening);
    }
}
