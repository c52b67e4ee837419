//! An HTTP server on a free local port, plain or with TLS.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// A complete reply.
pub type Answer = Response<Full<Bytes>>;

/// Dropping this stops the server and closes every connection.
#[derive(Debug)]
pub struct Server {
    /// The address.
    pub url: String,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves complete requests. `None` closes the connection without a reply.
pub async fn serve<H, F>(handler: H) -> Server
where
    H: Fn(Request<Bytes>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Option<Answer>> + Send + 'static,
{
    serve_with(None, || {}, handler).await
}

/// [`serve`], with TLS if there is an acceptor. `on_handshake` is called after each handshake.
pub async fn serve_with<C, H, F>(tls: Option<TlsAcceptor>, on_handshake: C, handler: H) -> Server
where
    C: Fn() + Clone + Send + Sync + 'static,
    H: Fn(Request<Bytes>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Option<Answer>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = match tls {
        Some(_) => format!("https://localhost:{port}"),
        None => format!("http://127.0.0.1:{port}"),
    };
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let (stream, _) = accepted.unwrap();
                    stream.set_nodelay(true).unwrap();
                    let (tls, handler, on_handshake) =
                        (tls.clone(), handler.clone(), on_handshake.clone());
                    connections.spawn(async move {
                        let Some(tls) = tls else {
                            return talk(stream, handler).await;
                        };
                        // A client that gives up during the handshake is not an error.
                        if let Ok(stream) = tls.accept(stream).await {
                            on_handshake();
                            talk(stream, handler).await;
                        }
                    });
                }
                Some(_) = connections.join_next() => {}
            }
        }
    });
    Server { url, task }
}

/// Serves one connection.
async fn talk<S, H, F>(stream: S, handler: H)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Bytes>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Option<Answer>> + Send + 'static,
{
    let service = service_fn(move |request| answer(handler.clone(), request));
    // A closed client connection is not an error.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer<H, F>(handler: H, request: Request<Incoming>) -> io::Result<Answer>
where
    H: Fn(Request<Bytes>) -> F,
    F: Future<Output = Option<Answer>>,
{
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let answer = handler(Request::from_parts(parts, body)).await;
    answer.ok_or_else(|| io::Error::other("broken off"))
}
