//! A plain HTTP server on a free local port.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::io;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

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
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let (stream, _) = accepted.unwrap();
                    let handler = handler.clone();
                    let service = service_fn(move |request| answer(handler.clone(), request));
                    connections.spawn(async move {
                        // A closed client connection is not an error.
                        let _ = http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), service)
                            .await;
                    });
                }
                Some(_) = connections.join_next() => {}
            }
        }
    });
    Server { url, task }
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
