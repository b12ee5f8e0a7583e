//! Where routes are put up. Each is noted, so that a test can tell whether the OpenAPI document knows it.

use std::cell::RefCell;
use std::rc::Rc;

use actix_web::dev::{Handler, HttpServiceFactory, ServiceRequest};
use actix_web::web::{self, ServiceConfig};
use actix_web::{FromRequest, HttpResponse, Resource, Responder, guard};

use super::BODY_LIMIT;
use super::problem::Problem;

/// What was put up: method and path.
pub(super) type Routed = Rc<RefCell<Vec<String>>>;

/// The routes below one prefix.
pub(super) struct Routes<'a> {
    config: &'a mut ServiceConfig,
    prefix: &'static str,
    routed: Routed,
}

impl<'a> Routes<'a> {
    /// Puts routes up in `config`, which is the inside of the scope `prefix` (empty: there is none).
    pub(super) fn below(
        prefix: &'static str,
        config: &'a mut ServiceConfig,
        routed: &Routed,
    ) -> Self {
        Self {
            config,
            prefix,
            routed: Rc::clone(routed),
        }
    }

    /// A resource that is read.
    pub(super) fn reads<H, Args>(&mut self, path: &str, handler: H) -> &mut Self
    where
        H: Handler<Args>,
        Args: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        self.service(&[("get", path)], reading(path, handler))
    }

    /// A resource that is posted to.
    pub(super) fn writes<H, Args>(&mut self, path: &str, handler: H) -> &mut Self
    where
        H: Handler<Args>,
        Args: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        self.writes_up_to(BODY_LIMIT, path, handler)
    }

    /// A resource that is posted to, with another limit of the body in bytes.
    pub(super) fn writes_up_to<H, Args>(
        &mut self,
        limit: usize,
        path: &str,
        handler: H,
    ) -> &mut Self
    where
        H: Handler<Args>,
        Args: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        let resource: Resource = web::resource(path)
            .app_data(web::PayloadConfig::new(limit))
            .route(web::post().to(handler))
            .default_service(web::to(|| refuse("POST")));
        self.service(&[("post", path)], resource)
    }

    /// Anything else, with the methods and paths it serves.
    pub(super) fn service(
        &mut self,
        routes: &[(&str, &str)],
        service: impl HttpServiceFactory + 'static,
    ) -> &mut Self {
        let noted = routes
            .iter()
            .map(|(method, path)| format!("{method} {}{path}", self.prefix));
        self.routed.borrow_mut().extend(noted);
        self.config.service(service);
        self
    }
}

/// A resource that is read, not yet put up: to be wrapped in something.
pub(crate) fn reading<H, Args>(path: &str, handler: H) -> Resource
where
    H: Handler<Args>,
    Args: FromRequest + 'static,
    H::Output: Responder + 'static,
{
    let read = guard::Any(guard::Get()).or(guard::Head());
    web::resource(path)
        .route(web::route().guard(read).to(handler))
        .default_service(web::to(|| refuse("GET, HEAD")))
}

/// The path as the router reads it, with its escapes decoded. What is decided by path is decided by this one: a route has other
/// spellings (`/%761/relays`).
pub(super) fn route_path(request: &ServiceRequest) -> &str {
    request.match_info().as_str()
}

/// What a route answers to methods it does not know.
pub(crate) async fn refuse(allow: &'static str) -> Result<HttpResponse, Problem> {
    Err(Problem::method_not_allowed(allow))
}
