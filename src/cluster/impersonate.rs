//! A client that acts as a service account: the same connections, one more header.

use http::{HeaderValue, Request};
use kube::Client;
use kube::client::Body;

/// A client whose every request is made as this service account (Kubernetes user impersonation).
pub(super) fn service_account(client: &Client, namespace: &str, name: &str) -> Client {
    let user = format!("system:serviceaccount:{namespace}:{name}");
    // A name that is no header value is no service account either; the server then refuses the request.
    let user = HeaderValue::from_str(&user).unwrap_or_else(|_| HeaderValue::from_static("system:anonymous"));
    let inner = client.clone();
    let service = tower::service_fn(move |mut request: Request<Body>| {
        let (inner, user) = (inner.clone(), user.clone());
        async move {
            request.headers_mut().insert("Impersonate-User", user);
            inner.send(request).await
        }
    });
    Client::new(service, namespace)
}
