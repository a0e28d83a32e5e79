//! Answers in the shapes of the two server families: gRPC gateways (Fulcio, Rekor v2) and go-openapi
//! (Rekor v1, the timestamp authority).

use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

/// gRPC status codes that the services use.
#[derive(Clone, Copy)]
pub(super) enum Grpc {
    /// 3, answered with 400.
    InvalidArgument,
    /// 5, answered with 404.
    NotFound,
    /// 6, answered with 409.
    AlreadyExists,
    /// 12, answered with 501.
    Unimplemented,
    /// 13, answered with 500.
    Internal,
}

/// Answers as a gRPC gateway does for an error.
pub(super) fn grpc(code: Grpc, message: &str) -> Response {
    let (number, status) = match code {
        Grpc::InvalidArgument => (3, StatusCode::BAD_REQUEST),
        Grpc::NotFound => (5, StatusCode::NOT_FOUND),
        Grpc::AlreadyExists => (6, StatusCode::CONFLICT),
        Grpc::Unimplemented => (12, StatusCode::NOT_IMPLEMENTED),
        Grpc::Internal => (13, StatusCode::INTERNAL_SERVER_ERROR),
    };
    let body = json!({ "code": number, "message": message, "details": [] });
    (status, Json(body)).into_response()
}

/// A path that the gateway does not have.
pub(super) async fn grpc_not_found() -> Response {
    grpc(Grpc::NotFound, "Not Found")
}

/// A method that the path does not have; the real gateways say 501.
pub(super) async fn grpc_no_method() -> Response {
    grpc(Grpc::Unimplemented, "Method Not Allowed")
}

/// Answers as a go-openapi server does for an error; validation errors have a code beyond HTTP's.
pub(super) fn openapi(status: StatusCode, code: u16, message: &str) -> Response {
    (status, Json(json!({ "code": code, "message": message }))).into_response()
}

/// An error whose code is the HTTP status.
pub(super) fn openapi_status(status: StatusCode, message: &str) -> Response {
    openapi(status, status.as_u16(), message)
}

/// A path that the server does not have.
pub(super) async fn openapi_not_found(uri: axum::http::Uri) -> Response {
    let message = format!("path {} was not found", uri.path());
    openapi_status(StatusCode::NOT_FOUND, &message)
}

/// A method that the path does not have; which it has stands in the `Allow` header.
pub(super) async fn openapi_no_method(method: Method) -> Response {
    let message = format!("method {method} is not allowed");
    openapi_status(StatusCode::METHOD_NOT_ALLOWED, &message)
}

/// Answers text of a media type.
pub(super) fn text(media_type: &'static str, body: String) -> Response {
    let value = HeaderValue::from_static(media_type);
    ([(header::CONTENT_TYPE, value)], body).into_response()
}
