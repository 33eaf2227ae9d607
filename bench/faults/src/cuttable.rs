//! A listener that can be cut: to a client it is then as if the process behind it were gone. In front of any TCP
//! service it is a proxy; the [fault proxy](crate::proxy) speaks HTTP behind one.

use std::io;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, JoinSet};

type Serve = Arc<dyn Fn(TcpStream) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

pub struct CuttableProxy {
    port: u16,
    serve: Serve,
    listening: Mutex<Option<JoinHandle<()>>>,
    connections: Arc<Mutex<JoinSet<()>>>,
}

impl CuttableProxy {
    /// Passes bytes on to `target` (host and port).
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(target: String) -> io::Result<Self> {
        Self::start_with(move |mut client| {
            let target = target.clone();
            async move {
                if let Ok(mut server) = TcpStream::connect(target).await {
                    // Either side may end the connection as it likes.
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                }
            }
        })
        .await
    }

    /// Gives each connection to `serve`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start_with<F>(serve: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> io::Result<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let serve: Serve = Arc::new(move |stream| Box::pin(serve(stream)));
        let proxy = Self { port, serve, listening: Mutex::default(), connections: Arc::default() };
        proxy.listen(listener).await;
        Ok(proxy)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `url` with this proxy in the place of its host and port.
    ///
    /// # Errors
    /// When it is no URL with a host.
    pub fn in_front_of(&self, url: &str) -> Result<String, url::ParseError> {
        let mut through = url::Url::parse(url)?;
        through.set_host(Some("127.0.0.1"))?;
        through.set_port(Some(self.port)).map_err(|()| url::ParseError::EmptyHost)?;
        Ok(through.to_string())
    }

    /// Ends every connection and refuses new ones.
    pub async fn cut(&self) {
        if let Some(listening) = self.listening.lock().await.take() {
            listening.abort();
            let _ = listening.await;
        }
        self.connections.lock().await.shutdown().await;
    }

    /// Ends every connection; new ones are taken.
    pub async fn hang_up(&self) {
        self.connections.lock().await.shutdown().await;
    }

    /// Takes connections again, at the same port.
    ///
    /// # Errors
    /// When somebody else took the port meanwhile.
    pub async fn mend(&self) -> io::Result<()> {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await?;
        self.listen(listener).await;
        Ok(())
    }

    async fn listen(&self, listener: TcpListener) {
        let (serve, connections) = (self.serve.clone(), self.connections.clone());
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut connections = connections.lock().await;
                while connections.try_join_next().is_some() {}
                connections.spawn(serve(client));
            }
        });
        *self.listening.lock().await = Some(listening);
    }
}
