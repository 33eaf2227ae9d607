//! A real browser: headless Chromium, driven by its WebDriver.

use std::path::PathBuf;
use std::process::Stdio;

use fantoccini::actions::{InputSource as _, MOUSE_BUTTON_LEFT, MouseActions, PointerAction};
use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::{eventually, sooner_or_later};

/// Width and height of the window.
#[derive(Clone, Copy)]
pub struct Screen(pub u32, pub u32);

/// The narrowest that people use.
pub const PHONE: Screen = Screen(360, 800);
pub const DESKTOP: Screen = Screen(1280, 900);

/// What its owner set their devices to.
#[derive(Clone, Copy, Debug)]
pub enum Theme {
    Light,
    Dark,
}

/// What WCAG 2.2 AA asks for, as far as a program can see it, and what good pages do besides.
const RULES: &str = r#"["wcag2a","wcag2aa","wcag21a","wcag21aa","wcag22aa","best-practice"]"#;

/// Where browsers of tests are unless they say: times are then those of the service.
const HERE: &str = "UTC";

/// Narrower ones are a phone's, which a window is not.
const NARROWEST_WINDOW: u32 = 500;

/// A browser with a profile of its own that nobody used before.
pub struct Chromium {
    client: Client,
    origin: String,
    name: &'static str,
    // Ends with the test, whatever becomes of that.
    driver: Child,
}

impl Chromium {
    /// Opens a browser for the service at `origin`; `name` is that of its pictures.
    pub async fn open(origin: &str, name: &'static str, screen: Screen) -> Self {
        Self::open_in(origin, name, screen, Theme::Light).await
    }

    pub async fn open_in(origin: &str, name: &'static str, screen: Screen, theme: Theme) -> Self {
        Self::open_with(origin, name, screen, theme, json!({}), HERE).await
    }

    /// One whose owner's clock goes by this time zone.
    pub async fn open_in_zone(origin: &str, name: &'static str, screen: Screen, zone: &str) -> Self {
        Self::open_with(origin, name, screen, Theme::Light, json!({}), zone).await
    }

    /// One whose owner lets no page run scripts.
    pub async fn open_without_scripts(origin: &str, name: &'static str, screen: Screen) -> Self {
        const BLOCKED: u8 = 2;
        let preferences = json!({ "profile.managed_default_content_settings.javascript": BLOCKED });
        Self::open_with(origin, name, screen, Theme::Light, preferences, HERE).await
    }

    async fn open_with(
        origin: &str,
        name: &'static str,
        Screen(width, height): Screen,
        theme: Theme,
        preferences: Value,
        zone: &str,
    ) -> Self {
        let (driver, port) = eventually("chromedriver listens", async || start_driver(zone).await).await;
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ];
        let mut arguments: Vec<String> = arguments.map(str::to_owned).into();
        arguments.push(format!("--window-size={width},{height}"));
        let scheme = match theme {
            Theme::Dark => 0,
            Theme::Light => 1,
        };
        arguments.push(format!("--blink-settings=preferredColorScheme={scheme}"));
        // The driver's taps wait for scripts of the page, which there may be none of.
        let touch = preferences == json!({});
        let mut options = json!({ "args": arguments, "prefs": preferences });
        if width < NARROWEST_WINDOW {
            options["mobileEmulation"] = json!({ "deviceMetrics": { "width": width, "height": height, "pixelRatio": 2.0, "touch": touch } });
        }
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!() };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("Chromium starts");
        Self { client, origin: origin.to_owned(), name, driver }
    }

    /// Opens a path of the service.
    pub async fn go(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.origin)).await.unwrap();
    }

    /// Path and query of what is shown.
    pub async fn path(&self) -> String {
        let url = self.client.current_url().await.unwrap();
        url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
    }

    /// Everything that can be read.
    pub async fn text(&self) -> String {
        // An element is gone when its page is, which may be at this very moment.
        eventually("the page can be read", async || {
            self.client.find(Locator::Css("body")).await.ok()?.text().await.ok()
        })
        .await
    }

    pub async fn text_of(&self, selector: &str) -> String {
        self.find(selector).await.text().await.unwrap()
    }

    async fn find(&self, selector: &str) -> Element {
        let found = self.client.find(Locator::Css(selector)).await;
        found.unwrap_or_else(|error| panic!("nothing is {selector}: {error}"))
    }

    /// Waits until this path is shown: a click is over before the page that it leads to is there.
    pub async fn arrives_at(&self, path: &str) {
        eventually(&format!("{path} is shown"), async || (self.path().await == path).then_some(())).await;
    }

    /// Waits until the page says this.
    pub async fn comes_to_say(&self, says: &str) {
        sooner_or_later(&format!("the page says {says:?}"), async || {
            let text = self.text().await;
            if text.contains(says) { Ok(()) } else { Err(text) }
        })
        .await;
    }

    /// Waits until the page no longer says this.
    pub async fn comes_to_hide(&self, said: &str) {
        sooner_or_later(&format!("the page no longer says {said:?}"), async || {
            let text = self.text().await;
            if text.contains(said) { Err(text) } else { Ok(()) }
        })
        .await;
    }

    /// A key, by its code of WebDriver, on what has the focus.
    pub async fn press(&self, key: &str) {
        self.client.active_element().await.unwrap().send_keys(key).await.unwrap();
    }

    /// Clicks on the link or button in the page that says this.
    pub async fn click(&self, says: &str) {
        let path = format!(
            "//main//*[self::a or self::button or self::summary][contains(normalize-space(.), {says:?})]"
        );
        let found = self.client.find(Locator::XPath(&path)).await;
        let element = found.unwrap_or_else(|error| panic!("nothing to click on says {says:?}: {error}"));
        element.click().await.unwrap();
    }

    pub async fn type_into(&self, selector: &str, text: &str) {
        self.find(selector).await.send_keys(text).await.unwrap();
    }

    /// The same in place of what stands there.
    pub async fn retype(&self, selector: &str, text: &str) {
        let field = self.find(selector).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Drags something down, or up where `by` is negative, in CSS pixels.
    pub async fn drag(&self, selector: &str, by: f64) {
        // The browser goes back to where a page was read the last time, and fonts move what is on it: not between the aim and the hand.
        let settle = "const [selector, done] = arguments; const at = () => JSON.stringify(document.querySelector(selector).getBoundingClientRect());
            const still = (before, frames) => frames === 5 ? done() :
                requestAnimationFrame(() => still(at(), at() === before ? frames + 1 : 0));
            const settle = () => { document.querySelector(selector).scrollIntoView({ block: 'center' }); still(at(), 0); };
            document.fonts.ready.then(() => document.readyState === 'complete' ? settle() : addEventListener('load', settle));";
        self.find(selector).await;
        self.client.execute_async(settle, vec![selector.into()]).await.unwrap();
        let step = |y| PointerAction::MoveBy { duration: None, x: 0.0, y };
        let mut mouse = MouseActions::new("mouse".to_owned())
            .then(PointerAction::MoveToElement {
                element: self.find(selector).await,
                duration: None,
                x: 0.0,
                y: 0.0,
            })
            .then(PointerAction::Down { button: MOUSE_BUTTON_LEFT });
        for _ in 0..10 {
            mouse = mouse.then(step(by / 10.0));
        }
        let actions = mouse.then(PointerAction::Up { button: MOUSE_BUTTON_LEFT });
        self.client.perform_actions(actions).await.unwrap();
    }

    /// Loads the page again until it says this.
    pub async fn reload_until(&self, says: &str) {
        eventually(&format!("the page says {says:?}"), async || {
            self.client.refresh().await.unwrap();
            self.text().await.contains(says).then_some(())
        })
        .await;
    }

    /// What a script of the page's own sees.
    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Names of the cookies that scripts of the page can read.
    pub async fn readable_cookies(&self) -> String {
        self.run("return document.cookie").await.as_str().unwrap().to_owned()
    }

    /// Keeps a picture for people to look at, below the build's folder for tests' files.
    pub async fn picture(&self, of: &str) {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pictures");
        std::fs::create_dir_all(&directory).unwrap();
        let picture = self.client.screenshot().await.unwrap();
        std::fs::write(directory.join(format!("{}-{of}.png", self.name)), picture).unwrap();
    }

    /// Forgets who is signed in.
    pub async fn forget(&self) {
        self.client.delete_all_cookies().await.unwrap();
    }

    /// From now on adds up by how much parts of the page move that nobody touched (Cumulative Layout Shift).
    pub async fn watch_for_shifts(&self) {
        self.observe_shifts(false).await;
    }

    /// The same with what has moved since the page began to be shown.
    pub async fn watch_for_shifts_from_the_beginning(&self) {
        self.observe_shifts(true).await;
    }

    async fn observe_shifts(&self, is_from_the_beginning: bool) {
        self.run(&format!(
            "window.shifts = []; new PerformanceObserver(list => window.shifts.push(...list.getEntries().filter(it => !it.hadRecentInput)))
                .observe({{ type: 'layout-shift', buffered: {is_from_the_beginning} }})",
        ))
        .await;
    }

    /// What has moved since it was watched, with how much of the page it was. A number at the right of its own cell begins further
    /// left with each digit that it gets: nothing around it has moved, and it is not told.
    pub async fn shifts(&self) -> Vec<String> {
        // They are told with the picture after the one in which something moved.
        let script = "const done = arguments[arguments.length - 1];
            const isInPlace = of => JSON.stringify(of.previousRect) === JSON.stringify(of.currentRect);
            const isMoved = it => it.value > 0.0001 || !it.sources.every(isInPlace);
            const told = () => done(window.shifts.filter(isMoved).map(it => `${it.value}: ` + it.sources.map(of =>
            `${of.node?.outerHTML?.slice(0, 120)} from ${JSON.stringify(of.previousRect)} to ${JSON.stringify(of.currentRect)}`).join(' | ')));
            requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(told)))";
        let shifts = self.client.execute_async(script, Vec::new()).await.unwrap();
        shifts.as_array().unwrap().iter().map(|shift| shift.as_str().unwrap().to_owned()).collect()
    }

    /// Elements that reach beyond the window's right edge, where that makes the page scroll sideways.
    pub async fn stands_out(&self) -> Option<String> {
        let script = "const edge = document.documentElement.clientWidth;
            if (document.documentElement.scrollWidth <= edge) return null;
            const out = [...document.body.querySelectorAll('*')].filter(it => it.getBoundingClientRect().right > edge + 1);
            return `scrolls sideways to ${document.documentElement.scrollWidth}: ` +
                out.slice(0, 4).map(it => it.outerHTML.slice(0, 160)).join(' | ')";
        self.run(script).await.as_str().map(str::to_owned)
    }

    /// Nothing stands beside the window's edge: a page that has to be pushed to and fro on a phone is broken.
    pub async fn assert_fits(&self) {
        let fits = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth";
        assert_eq!(self.run(fits).await, true, "{} is wider than the window", self.path().await);
    }

    /// What axe-core finds in the page, each with the elements that it is about.
    pub async fn barriers(&self) -> Vec<String> {
        let script = format!(
            "if (!window.axe) {{ {} }}; const done = arguments[arguments.length - 1];
             axe.run(document, {{ runOnly: {{ type: 'tag', values: {RULES} }}, resultTypes: ['violations'] }}).then(
                 found => done(found.violations.map(it => `${{it.id}}: ${{it.help}}: ` +
                     it.nodes.map(node => `${{node.target.join(' ')}} (${{node.failureSummary}})`).join(', '))),
                 error => done([`axe did not run: ${{error}}`]));",
            axe()
        );
        let found = self.client.execute_async(&script, Vec::new()).await.unwrap();
        found.as_array().unwrap().iter().map(|barrier| barrier.as_str().unwrap().to_owned()).collect()
    }

    pub async fn close(mut self) {
        self.client.close().await.unwrap();
        self.driver.kill().await.unwrap();
    }
}

/// A driver and its port. None where it stopped at once: it takes any free port of IPv4, which may be taken in IPv6.
async fn start_driver(zone: &str) -> Option<(Child, String)> {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .env("TZ", zone)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("chromedriver is there: ops/setup.sh gets it");
    let mut lines = BufReader::new(driver.stdout.take()?).lines();
    while let Some(line) = lines.next_line().await.ok()? {
        if let Some(port) = line.strip_prefix("ChromeDriver was started successfully on port ") {
            let port = port.trim_end_matches('.').to_owned();
            // Or it stops at a full pipe.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Some((driver, port));
        }
    }
    None
}

/// The text of axe-core, from where `ops/setup.sh tests` puts it.
fn axe() -> String {
    let path = mohaa_embedded::setup_cache().join("axe-core-4.14.1/axe.min.js");
    std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; ops/setup.sh tests gets it", path.display()))
}
