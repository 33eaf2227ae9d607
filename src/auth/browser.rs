//! Keeps a browser signed in: its access token holds for 15 minutes, its refresh token, in a second cookie, for weeks.

use actix_web::body::MessageBody;
use actix_web::cookie::Cookie;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, USER_AGENT};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, web};
use sqlx::{Postgres, Transaction};

use super::identity::{identify, session_token};
use super::{REFRESH_COOKIE, SessionCookies, SessionError, SessionKind, Sessions};

/// By what a user knows a browser's session again: `Firefox on Windows`. Good enough for that, and for nothing else.
fn browser_label(request: &HttpRequest) -> String {
    let header = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let named = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| header.contains(mark)).map(|(_, name)| *name)
    };
    // In this order: most browsers name others before themselves.
    let browser = named(&[
        ("Firefox/", "Firefox"),
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ]);
    let system = named(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        (None, None) => "a browser".to_owned(),
    }
}

/// The access token that a request got by its refresh cookie, in the request's extensions.
pub(super) struct RenewedAccess(pub(super) String);

/// Signs a browser in, at the end of the transaction in which it was found out who signs in; whoever it was before is
/// signed out there. Gives the cookies to answer with.
///
/// # Errors
/// See [`SessionError`].
pub async fn sign_browser_in(
    transaction: Transaction<'_, Postgres>,
    sessions: &Sessions,
    cookies: SessionCookies,
    request: &HttpRequest,
    user_id: i32,
) -> Result<Vec<Cookie<'static>>, SessionError> {
    let label = browser_label(request);
    let opened = sessions.open_after(transaction, user_id, SessionKind::Browser, &label, None).await?;
    if let Ok(earlier) = identify(request) {
        sessions.end(earlier.user_id, earlier.session_id).await?;
    }
    Ok([cookies.sign_in(&opened), cookies.forget_shown()].concat())
}

/// Middleware: a browser whose access token is gone gets a new one by its refresh token.
pub async fn keep_signed_in<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let renewed = renew(&request).await;
    let mut response = next.call(request).await?;
    for cookie in renewed {
        // Signing in or out has set its own.
        let is_set = response.response().cookies().any(|set| set.name() == cookie.name());
        if !is_set {
            response.response_mut().add_cookie(&cookie)?;
        }
    }
    Ok(response)
}

/// The cookies to answer with.
async fn renew(request: &ServiceRequest) -> Vec<Cookie<'static>> {
    let (Some(sessions), Some(cookies)) =
        (request.app_data::<web::Data<Sessions>>(), request.app_data::<web::Data<SessionCookies>>())
    else {
        return Vec::new();
    };
    let Some(refresh_token) = SessionCookies::value_in(request.request(), REFRESH_COOKIE) else {
        return Vec::new();
    };
    let holds = session_token(request.request()).is_some_and(|token| sessions.identify(&token).is_ok());
    if holds || request.headers().contains_key(AUTHORIZATION) || request.path().starts_with("/static/") {
        return Vec::new();
    }
    match sessions.renew_browser(&refresh_token).await {
        Ok(opened) => {
            request.extensions_mut().insert(RenewedAccess(opened.access_token.clone()));
            cookies.sign_in(&opened)
        }
        Err(SessionError::Store(error)) => {
            tracing::warn!(%error, "a browser's session can't be renewed at the moment");
            Vec::new()
        }
        Err(_) => cookies.sign_out(),
    }
}
