//! The browser's session: an access token in a cookie that scripts can't read and other sites can't send along
//! with a form.

use super::ACCESS_TOKEN_LIFETIME;
use actix_web::cookie::{Cookie, SameSite, time::Duration};

pub const SESSION_COOKIE: &str = "mohaa_session";

/// Makes cookies as this service's address wants them.
#[derive(Debug, Clone, Copy)]
pub struct SessionCookies {
    /// A browser keeps a `Secure` cookie from plain HTTP, where development and the private demo run.
    secure: bool,
}

impl SessionCookies {
    pub fn new(public_url: Option<&str>) -> Self {
        Self { secure: public_url.is_some_and(|url| url.starts_with("https://")) }
    }

    /// Signs the browser in for as long as the token holds.
    pub fn sign_in(self, access_token: String) -> Cookie<'static> {
        let lifetime = Duration::seconds(ACCESS_TOKEN_LIFETIME.as_secs().cast_signed());
        self.cookie(SESSION_COOKIE, access_token, lifetime)
    }

    pub fn sign_out(self) -> Cookie<'static> {
        self.cookie(SESSION_COOKIE, String::new(), Duration::ZERO)
    }

    pub(super) fn cookie(self, name: &'static str, value: String, lifetime: Duration) -> Cookie<'static> {
        Cookie::build(name, value)
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(self.secure)
            .max_age(lifetime)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::SessionCookies;

    #[test]
    fn the_session_cookie_is_secure_only_when_the_service_is_reached_by_https() {
        let text = |public_url| SessionCookies::new(public_url).sign_in("token".to_owned()).to_string();
        let plain = text(None);
        assert_eq!(plain, "mohaa_session=token; HttpOnly; SameSite=Lax; Path=/; Max-Age=900");
        assert_eq!(text(Some("http://stats.example.org")), plain);
        assert!(text(Some("https://stats.example.org")).contains("; Secure"));
    }
}
