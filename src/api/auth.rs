//! Who may call: bearer tokens with two scopes. A session of the console stands for an admin token, but changes
//! something only with its token against forged requests.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{ACCEPT, AUTHORIZATION, LOCATION};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, web};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use super::Api;
use super::console::{self, CSRF};
use super::problem::{Code, Problem};
use crate::config;

/// How far a token reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// `/v1` and `/trpc`.
    Api,
    /// Those and `/admin`.
    Admin,
}

type Digest = [u8; 32];

/// The tokens that are believed, as digests: nothing here can be printed or guessed byte by byte.
#[derive(Clone)]
pub(super) struct Tokens {
    known: Vec<(Digest, Scope)>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens")
            .field("known", &self.known.len())
            .finish()
    }
}

impl Tokens {
    /// The tokens of the settings. An empty one is none.
    #[must_use]
    pub(super) fn new(settings: &config::Auth) -> Self {
        let of = |tokens: &[SecretString], scope| -> Vec<(Digest, Scope)> {
            let tokens = tokens.iter().map(|token| token.expose_secret().trim());
            let tokens = tokens.filter(|token| !token.is_empty());
            tokens
                .map(|token| (digest(token.as_bytes()), scope))
                .collect()
        };
        let mut known = of(&settings.api_tokens, Scope::Api);
        known.extend(of(&settings.admin_tokens, Scope::Admin));
        Self { known }
    }

    /// How far `token` reaches. It is compared with every known token, whichever fits, in the same time.
    #[must_use]
    pub(super) fn scope(&self, token: &[u8]) -> Option<Scope> {
        let given = digest(token);
        let (mut api, mut admin) = (Choice::from(0), Choice::from(0));
        for (known, scope) in &self.known {
            let same = known.ct_eq(&given);
            match scope {
                Scope::Api => api |= same,
                Scope::Admin => admin |= same,
            }
        }
        if bool::from(admin) {
            Some(Scope::Admin)
        } else {
            bool::from(api).then_some(Scope::Api)
        }
    }
}

fn digest(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

/// Lets in who has any token.
pub(super) async fn any_token(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match admit(&request, Scope::Api) {
        Ok(()) => Ok(next.call(request).await?.map_into_boxed_body()),
        Err(problem) => Ok(request.error_response(problem)),
    }
}

/// Lets in who has an admin token, and leads a browser without one to where it can sign in.
pub(super) async fn admin_token(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if console::is_open(request.path()) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    match admit(&request, Scope::Admin) {
        Ok(()) => Ok(next.call(request).await?.map_into_boxed_body()),
        Err(problem) if problem.is_unauthorized() && is_browser(&request) => {
            let sign_in = HttpResponse::SeeOther()
                .insert_header((LOCATION, console::SIGN_IN))
                .finish();
            Ok(request.into_response(sign_in))
        }
        Err(problem) => Ok(request.error_response(problem)),
    }
}

fn admit(request: &ServiceRequest, needed: Scope) -> Result<(), Problem> {
    let Some(api) = request.app_data::<web::Data<Api>>() else {
        return Err(Problem::internal());
    };
    let Some(token) = bearer(request) else {
        let Some(session) = api.session(request.headers()) else {
            return Err(Problem::unauthorized("A bearer token is needed.", "Bearer"));
        };
        let csrf = request.headers().get(CSRF);
        let vouched_for = csrf.is_some_and(|csrf| session.vouches_for(csrf.as_bytes()));
        return if request.method().is_safe()
            || vouched_for
            || console::checks_itself(request.path())
        {
            Ok(())
        } else {
            let detail = "A session changes something only with its X-CSRF-Token.";
            Err(Problem::new(Code::Forbidden, detail))
        };
    };
    match api.tokens.scope(token) {
        None => Err(Problem::unauthorized(
            "This token is not known.",
            "Bearer error=\"invalid_token\"",
        )),
        Some(scope) if scope < needed => {
            Err(Problem::new(Code::Forbidden, "This needs an admin token."))
        }
        Some(_) => Ok(()),
    }
}

fn bearer(request: &ServiceRequest) -> Option<&[u8]> {
    let header = request.headers().get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = header.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

fn is_browser(request: &ServiceRequest) -> bool {
    let reads = request.method() == Method::GET || request.method() == Method::HEAD;
    let accept = request
        .headers()
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    reads && accept.is_some_and(|accept| accept.contains("text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        Tokens::new(&config::Auth {
            api_tokens: vec!["first".into(), "second".into(), "".into(), " ".into()],
            admin_tokens: vec!["boss".into()],
        })
    }

    #[test]
    fn each_of_several_tokens_reaches_as_far_as_its_list_says() {
        let tokens = tokens();
        assert_eq!(tokens.scope(b"first"), Some(Scope::Api));
        assert_eq!(tokens.scope(b"second"), Some(Scope::Api));
        assert_eq!(tokens.scope(b"boss"), Some(Scope::Admin));
    }

    #[test]
    fn an_empty_token_in_the_settings_lets_nobody_in() {
        for token in ["", " ", "firs", "first ", "Boss"] {
            assert_eq!(tokens().scope(token.as_bytes()), None, "{token:?}");
        }
        assert_eq!(format!("{:?}", tokens()), "Tokens { known: 3 }");
    }
}
