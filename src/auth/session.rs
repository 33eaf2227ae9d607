//! The browser's session: an access token and a refresh token in cookies that scripts can't read and other sites can't
//! send along with a form.

use super::{ACCESS_TOKEN_LIFETIME, OpenedSession, SESSION_LIFETIME};
use actix_web::HttpRequest;
use actix_web::cookie::{Cookie, SameSite, time::Duration};
use actix_web::web::Data;
use std::borrow::Cow;

pub const SESSION_COOKIE: &str = "mohaa_session";
pub const REFRESH_COOKIE: &str = "mohaa_refresh";
/// Bring what was just made to the page that shows it, past the address bar and the history: a code for the game, a token or
/// key of a server.
pub const CODE_COOKIE: &str = "mohaa_code";
pub const NEW_SECRET_COOKIE: &str = "mohaa_new_secret";

/// By it browsers know that a cookie is ours alone: they take one of such a name from nobody else, neither from a site beside
/// ours nor from who answers in our name without TLS (RFC 6265bis, 4.1.3).
const OURS_ALONE: &str = "__Host-";

/// Makes cookies as this service's address wants them, and knows them again.
#[derive(Debug, Clone, Copy, Default)]
pub struct SessionCookies {
    /// A browser keeps a `Secure` cookie from plain HTTP, where development and the private demo run.
    secure: bool,
}

impl SessionCookies {
    pub fn new(public_url: Option<&str>) -> Self {
        Self { secure: public_url.is_some_and(|url| url.starts_with("https://")) }
    }

    /// What a cookie of this name is called on the way.
    fn sent_as(self, name: &'static str) -> Cow<'static, str> {
        if self.secure { format!("{OURS_ALONE}{name}").into() } else { name.into() }
    }

    /// The value of a cookie that was made here.
    pub fn value_in(request: &HttpRequest, name: &'static str) -> Option<String> {
        let cookies = request.app_data::<Data<Self>>().map(|cookies| ***cookies).unwrap_or_default();
        request.cookie(&cookies.sent_as(name)).map(|cookie| cookie.value().to_owned())
    }

    /// Whether any cookie is there that only we can have made.
    pub fn are_in(request: &HttpRequest) -> bool {
        let cookies = request.cookies();
        cookies.is_ok_and(|cookies| cookies.iter().any(|cookie| cookie.name().starts_with(OURS_ALONE)))
    }

    /// Signs the browser in for as long as the tokens hold.
    pub fn sign_in(self, opened: &OpenedSession) -> Vec<Cookie<'static>> {
        let access = self.cookie(SESSION_COOKIE, opened.access_token.clone(), ACCESS_TOKEN_LIFETIME);
        let refresh =
            opened.refresh_token.clone().map(|token| self.cookie(REFRESH_COOKIE, token, SESSION_LIFETIME));
        std::iter::once(access).chain(refresh).collect()
    }

    /// What was shown to whoever was signed in before is shown to nobody else.
    pub fn forget_shown(self) -> Vec<Cookie<'static>> {
        [CODE_COOKIE, NEW_SECRET_COOKIE]
            .map(|name| self.cookie(name, String::new(), std::time::Duration::ZERO))
            .into()
    }

    pub fn sign_out(self) -> Vec<Cookie<'static>> {
        [SESSION_COOKIE, REFRESH_COOKIE, CODE_COOKIE, NEW_SECRET_COOKIE]
            .map(|name| self.cookie(name, String::new(), std::time::Duration::ZERO))
            .into()
    }

    /// A cookie that only we read.
    pub fn cookie(self, name: &'static str, value: String, lifetime: std::time::Duration) -> Cookie<'static> {
        Cookie::build(self.sent_as(name), value)
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(self.secure)
            .max_age(Duration::seconds(lifetime.as_secs().cast_signed()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_secure_only_when_the_service_is_reached_by_https() {
        let opened = OpenedSession {
            session_id: uuid::Uuid::nil(),
            access_token: "access".to_owned(),
            refresh_token: Some("refresh".to_owned()),
        };
        let texts = |public_url| {
            SessionCookies::new(public_url).sign_in(&opened).iter().map(Cookie::to_string).collect::<Vec<_>>()
        };
        let plain = texts(None);
        assert_eq!(
            plain,
            [
                "mohaa_session=access; HttpOnly; SameSite=Lax; Path=/; Max-Age=900",
                "mohaa_refresh=refresh; HttpOnly; SameSite=Lax; Path=/; Max-Age=2592000",
            ]
        );
        assert_eq!(texts(Some("http://stats.example.org")), plain);
        for cookie in texts(Some("https://stats.example.org")) {
            assert!(cookie.starts_with("__Host-mohaa_") && cookie.contains("; Secure"), "{cookie}");
            assert!(cookie.contains("; Path=/;") && !cookie.contains("Domain"), "{cookie}");
        }
    }
}
