//! Overviews of maps: what admins upload, what is kept of it, and what heatmaps make of it.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};
use mohaa_stats::users::Role;
use serde_json::{Value, json};

use crate::support::{Browser, Reply, Service, eventually};

const BOUNDARY: &str = "a-boundary-that-no-picture-holds";
const OF_MOHDM1: &str = "/api/v1/admin/maps/dm/mohdm1/overview";
const WORLD: [(&str, &str); 4] =
    [("min_x", "-2048"), ("min_y", "-1024"), ("max_x", "2048"), ("max_y", "1024")];

/// A picture of one colour.
fn sample(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_pixel(width, height, Rgb([0, 0, 250])).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A form as browsers send it, with the fields in this order and the picture behind them.
fn form(fields: &[(&str, &str)], image: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part =
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\
         Content-Type: image/png\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(image);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body
}

fn content_type() -> String {
    format!("multipart/form-data; boundary={BOUNDARY}")
}

async fn put(service: &Service, admin: &str, fields: &[(&str, &str)], image: &[u8]) -> Reply {
    let (authorization, content_type) = (format!("Bearer {admin}"), content_type());
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", content_type.as_str())];
    service.client.call("POST", OF_MOHDM1, &headers, form(fields, image)).await
}

/// The pixels at a public path.
async fn picture(service: &Service, path: &str) -> RgbImage {
    let client = mohaa_stats::simulate::courier::client().unwrap();
    let answer = client.get(format!("{}{path}", service.client.url)).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    image::load_from_memory(&answer.bytes().await.unwrap()).unwrap().to_rgb8()
}

/// Actions in the audit log, the latest first.
async fn logged(service: &Service, admin: &str) -> Vec<Value> {
    let log = service.client.get_as(admin, "/api/v1/admin/audit").await.json();
    let of_maps = log["entries"].as_array().unwrap().iter().filter(|entry| entry["subject_kind"] == "map");
    of_maps.cloned().collect()
}

#[actix_web::test]
async fn an_overview_lies_under_its_maps_heatmap_until_it_is_removed() {
    let service = Service::start("overviews").await;
    let (admin_id, admin) = service.add_user("Admin", Role::Admin).await;
    let kill = json!([{
        "type": "player_kill", "match_id": "evening", "timestamp": 20.0, "map_name": "dm/mohdm1",
        "attacker_name": "Anna", "attacker_guid": "4711", "attacker_x": 0, "attacker_y": 0,
        "victim_name": "Bert", "victim_guid": "4712", "victim_x": 100, "victim_y": 100,
    }]);
    service.client.send(kill.to_string()).await.assert_batch(202, 1, &[]);
    let heatmap = "/maps/dm/mohdm1/heatmap.png?width=400";
    eventually("the heatmap is drawn", async || {
        (service.client.get(heatmap).await.status == 200).then_some(())
    })
    .await;
    let bluish = async || {
        let drawn = picture(&service, heatmap).await;
        drawn.pixels().filter(|pixel| pixel.0[2] > 100 && pixel.0[0] < 20 && pixel.0[1] < 20).count()
    };
    assert_eq!(bluish().await, 0);

    for format in [ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Png] {
        let kept = put(&service, &admin, &WORLD, &sample(200, 100, format)).await;
        assert_eq!(kept.status, 200, "{}", kept.text);
        let kept = kept.json();
        assert_eq!(
            (&kept["map_name"], &kept["width"], &kept["max_x"]),
            (&"dm/mohdm1".into(), &200.into(), &2048.into())
        );
        assert_eq!(kept["uploaded_by"], admin_id);
    }
    let first = service.client.get("/maps/dm%2Fmohdm1/overview.png").await;
    assert_eq!(first.header("content-type"), Some("image/png"));
    let tag = [("If-None-Match", first.header("etag").unwrap())];
    assert_eq!(service.client.get_with("/maps/dm/mohdm1/overview.png", &tag).await.status, 304);
    assert_eq!(picture(&service, "/maps/dm/mohdm1/overview.png").await.dimensions(), (200, 100));
    assert!(bluish().await > 1000, "the picture lies under the heat");
    let listed = service.client.get_as(&admin, "/api/v1/admin/maps").await.json();
    assert_eq!(listed["overviews"].as_array().unwrap().len(), 1);

    let reply = service.client.call_as(&admin, "DELETE", OF_MOHDM1, json!(null)).await;
    assert_eq!(reply.status, 204, "{}", reply.text);
    assert_eq!(bluish().await, 0);
    let reply = service.client.call_as(&admin, "DELETE", OF_MOHDM1, json!(null)).await;
    reply.assert_refused(404, "unknown_overview");
    let log = logged(&service, &admin).await;
    let actions: Vec<&str> = log.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["map_overview.remove", "map_overview.put", "map_overview.put", "map_overview.put"]);
    assert_eq!((&log[0]["subject_id"], &log[0]["user_id"]), (&"dm/mohdm1".into(), &admin_id.into()));
    assert!(log[0]["before"]["image_hash"].is_string() && log[3]["before"].is_null(), "{log:?}");
    service.stop().await;
}

#[actix_web::test]
async fn what_is_no_overview_is_refused_and_changes_nothing() {
    let service = Service::start("overview_refusals").await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let good = sample(64, 64, ImageFormat::Png);
    let with = |name: &'static str, value: &'static str| {
        WORLD.map(|(known, kept)| (known, if known == name { value } else { kept }))
    };
    for (fields, field) in [
        (with("max_x", "-2048"), "max_x"),
        (with("min_y", "131073"), "min_y"),
        (with("min_y", "NaN"), "min_y"),
        (with("max_y", "1e300"), "max_y"),
        (with("min_x", ""), "min_x"),
    ] {
        let reply = put(&service, &admin, &fields, &good).await;
        reply.assert_refused(422, "validation_failed");
        assert!(reply.json()["fields"][field].is_string(), "{fields:?}: {}", reply.text);
    }
    let mut damaged = good.clone();
    damaged.truncate(good.len() / 2);
    for image in
        [b"<svg/>".to_vec(), Vec::new(), damaged, sample(63, 64, ImageFormat::Png), b"GIF89a".to_vec()]
    {
        let reply = put(&service, &admin, &WORLD, &image).await;
        reply.assert_refused(422, "validation_failed");
        assert!(reply.json()["fields"]["image"].is_string(), "{}", reply.text);
    }
    put(&service, &admin, &WORLD, &vec![0; (4 << 20) + 1]).await.assert_refused(413, "image_too_large");
    let (authorization, content_type) = (format!("Bearer {admin}"), content_type());
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", content_type.as_str())];
    service.client.call("POST", OF_MOHDM1, &headers, "nonsense").await.assert_refused(400, "bad_request");
    let wrong_name = "/api/v1/admin/maps/%3Cscript%3E/overview";
    let reply = service.client.call("POST", wrong_name, &headers, form(&WORLD, &good)).await;
    reply.assert_refused(422, "validation_failed");
    service.client.get("/maps/dm/mohdm1/overview.png").await;
    assert_eq!(service.client.get("/maps/dm/mohdm1/overview.png").await.status, 404);
    assert!(logged(&service, &admin).await.is_empty());
    service.stop().await;
}

#[actix_web::test]
async fn an_admin_uploads_and_removes_an_overview_on_the_page() {
    let service = Service::start("overview_page").await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let browser = Browser::new(&service.client);
    browser.set_cookie("mohaa_session", &admin);
    let empty = browser.get("/admin/maps").await;
    assert!(empty.text.contains("No map has an overview"), "{}", empty.text);
    let csrf = browser.cookie("mohaa_csrf").unwrap();
    let cookies = format!("mohaa_session={admin}; mohaa_csrf={csrf}");
    let send = async |fields: &[(&str, &str)], image: &[u8]| {
        let content_type = content_type();
        let headers = [
            ("Cookie", cookies.as_str()),
            ("Origin", service.client.url.as_str()),
            ("Content-Type", content_type.as_str()),
        ];
        service.client.call("POST", "/admin/maps", &headers, form(fields, image)).await
    };
    let image = sample(64, 64, ImageFormat::Png);
    let mut fields = vec![("csrf", "somebody-elses"), ("map_name", " DM/MohDM1 ")];
    fields.extend(WORLD);
    assert_eq!(send(&fields, &image).await.status, 403);
    assert_eq!(send(&fields[1..], &image).await.status, 403, "no token at all");
    // A token that comes late is none: the picture would have been read by then.
    fields.rotate_left(1);
    assert_eq!(send(&fields, &image).await.status, 403);
    fields.rotate_right(1);
    fields[0] = ("csrf", csrf.as_str());
    let sent = send(&fields, &image).await;
    assert_eq!(
        (sent.status.as_u16(), sent.header("location")),
        (303, Some("/admin/maps#overviews")),
        "{}",
        sent.text
    );
    let listed = browser.get("/admin/maps").await.text;
    assert!(listed.contains("/maps/dm%2Fmohdm1/overview.png") && listed.contains("64 by 64"), "{listed}");
    let removed = browser.post("/admin/maps/remove", &[("map_name", "dm/mohdm1")]).await;
    assert_eq!(removed.status, 303, "{}", removed.text);
    assert!(browser.get("/admin/maps").await.text.contains("No map has an overview"));
    service.stop().await;
}
