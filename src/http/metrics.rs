//! HTTP metrics by route template: `mohaa_http_requests_total` and `mohaa_http_requests_duration_seconds`.
//!
//! A request is counted when its answer has ended, whether it was sent to the end or not. What is counted into is looked
//! up once for each worker, route, method and status: game servers make thousands of equal requests a second.

use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::{Method, StatusCode};
use actix_web::web::Bytes;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};

/// Stands for every path that no route matches, so that scanners can't add time series.
const UNMATCHED_ROUTE: &str = "unmatched";
const LABELS: &[&str] = &["endpoint", "method", "status"];

/// The metric families.
#[derive(Clone)]
pub struct HttpMetrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
}

impl HttpMetrics {
    /// # Errors
    /// When `registry` already holds metrics of these names.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = IntCounterVec::new(
            Opts::new("mohaa_http_requests_total", "Total number of HTTP requests"),
            LABELS,
        )?;
        registry.register(Box::new(requests.clone()))?;
        let seconds = HistogramVec::new(
            HistogramOpts::new(
                "mohaa_http_requests_duration_seconds",
                "HTTP request duration in seconds for all requests",
            ),
            LABELS,
        )?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(Self { requests, seconds })
    }

    /// What one worker counts with.
    pub fn of_worker(&self) -> WorkerMetrics {
        WorkerMetrics { families: self.clone(), known: Rc::default() }
    }
}

type Outcome = (Method, StatusCode);

#[derive(Clone)]
struct Series {
    requests: IntCounter,
    seconds: Histogram,
}

/// Counts the requests of one worker.
#[derive(Clone)]
pub struct WorkerMetrics {
    families: HttpMetrics,
    /// By path, of routes without parameters.
    known: Rc<RefCell<HashMap<String, Vec<(Outcome, Series)>>>>,
}

impl WorkerMetrics {
    /// Counts an answer once it has ended.
    pub fn count<B: MessageBody + 'static>(
        &self,
        response: ServiceResponse<B>,
        began_at: Instant,
    ) -> ServiceResponse<CountedBody> {
        let series = self.series(&response);
        response
            .map_body(|_, body| CountedBody { body: body.boxed(), _ends: EndOfAnswer { series, began_at } })
    }

    fn series<B>(&self, response: &ServiceResponse<B>) -> Series {
        let request = response.request();
        let outcome = (request.method().clone(), response.status());
        let of_outcome = |known: &Vec<(Outcome, Series)>| {
            known.iter().find(|(known, _)| *known == outcome).map(|(_, series)| series.clone())
        };
        if let Some(series) = self.known.borrow().get(request.path()).and_then(of_outcome) {
            return series;
        }
        let pattern = request.match_pattern();
        let endpoint = pattern.as_deref().unwrap_or(UNMATCHED_ROUTE);
        let labels = &[endpoint, outcome.0.as_str(), outcome.1.as_str()];
        let series = Series {
            requests: self.families.requests.with_label_values(labels),
            seconds: self.families.seconds.with_label_values(labels),
        };
        // A path is matched by the same route each time, whatever the method.
        if pattern.as_deref() == Some(request.path()) {
            let mut known = self.known.borrow_mut();
            known.entry(request.path().to_owned()).or_default().push((outcome, series.clone()));
        }
        series
    }
}

/// A body whose end is noted.
pub struct CountedBody {
    body: BoxBody,
    _ends: EndOfAnswer,
}

struct EndOfAnswer {
    series: Series,
    began_at: Instant,
}

impl Drop for EndOfAnswer {
    fn drop(&mut self) {
        self.series.seconds.observe(self.began_at.elapsed().as_secs_f64());
        self.series.requests.inc();
    }
}

impl MessageBody for CountedBody {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(context)
    }
}
