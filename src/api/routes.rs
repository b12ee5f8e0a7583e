//! Registers routes and records them, so that a test can compare them with the OpenAPI document.

use std::cell::RefCell;
use std::rc::Rc;

use actix_web::dev::{Handler, HttpServiceFactory, ServiceRequest};
use actix_web::web::{self, ServiceConfig};
use actix_web::{FromRequest, HttpResponse, Resource, Responder, guard};

use super::BODY_LIMIT;
use super::problem::Problem;

pub(super) type Routed = Rc<RefCell<Vec<String>>>;

pub(super) struct Routes<'a> {
    config: &'a mut ServiceConfig,
    prefix: &'static str,
    routed: Routed,
}

impl<'a> Routes<'a> {
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

    pub(super) fn reads<H, Args>(&mut self, path: &str, handler: H) -> &mut Self
    where
        H: Handler<Args>,
        Args: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        self.service(&[("get", path)], reading(path, handler))
    }

    pub(super) fn writes<H, Args>(&mut self, path: &str, handler: H) -> &mut Self
    where
        H: Handler<Args>,
        Args: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        self.writes_up_to(BODY_LIMIT, path, handler)
    }

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

    pub(super) fn deletes<H, Args>(&mut self, path: &str, handler: H) -> &mut Self
    where
        H: Handler<Args>,
        Args: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        let resource: Resource = web::resource(path)
            .route(web::delete().to(handler))
            .default_service(web::to(|| refuse("DELETE")));
        self.service(&[("delete", path)], resource)
    }

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

/// A resource for GET and HEAD.
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

/// The percent-decoded path (`/%761/relays` is `/v1/relays`). Decisions by path must use it, as the router does.
pub(super) fn route_path(request: &ServiceRequest) -> &str {
    request.match_info().as_str()
}

pub(crate) async fn refuse(allow: &'static str) -> Result<HttpResponse, Problem> {
    Err(Problem::method_not_allowed(allow))
}
