"""The page in a real browser: Debian's Chromium, driven by Playwright."""

import re
import shutil
import socket
import uuid

import httpx
import numpy as np
import pytest
from live_server import live_server
from page_world import PageWorld
from stepping_model import answered_actions

from cosmos_robot.domains.registry import get_domain
from cosmos_robot.envs.pusht_state import agent_position
from cosmos_robot.serving.settings import ServerSettings
from cosmos_robot.training.pusht_recording import HELD_OUT_SEED, open_simulator

playwright = pytest.importorskip("playwright.sync_api", reason="playwright comes with the extra dev")
pytest.importorskip("gym_pusht", reason="gym-pusht comes with the extra pusht")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="the page is tested in chromium: apt-get install chromium")
expect = playwright.expect
expect.set_options(timeout=20_000)  # machines are shared

DESKTOP = {"viewport": {"width": 1280, "height": 1000}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
READ = """id => {
  const canvas = document.getElementById(id);
  return Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data);
}"""


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def world():
    return PageWorld(0, 1)


@pytest.fixture(scope="module")
def address(world, tmp_path_factory):
    with live_server(ServerSettings(data=tmp_path_factory.mktemp("page"), port=0), world) as url:
        yield url


@pytest.fixture
def visit(browser, world):
    """Open the page as `visit(url, **how)`; at the end nothing may have been complained of in its console."""
    world.step, world.wrong = 0.0, False
    contexts, said = [], []

    def open_page(url, *, ready="#send:enabled", **how):
        context = browser.new_context(**{**DESKTOP, **how})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: request.url.startswith((url, "data:", "blob:")) or said.append(request.url))
        page.goto(url)
        page.wait_for_selector(ready)
        page.said = said
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


def seen(page, table):
    """What a table shows, uint8 `[96, 96, 3]`."""
    return np.array(page.evaluate(READ, table), np.uint8).reshape(96, 96, 4)[..., :3]


def begin(page):
    page.click("#begin")
    expect(page.locator("#curtain")).to_be_hidden()


def point(page, table, x, y):
    """Move the mouse to a place of a table, in its own pixels."""
    box = page.locator(f"#{table}").bounding_box()
    page.mouse.move(box["x"] + box["width"] * x / 512, box["y"] + box["height"] * y / 512, steps=3)


def wait_for_pusher(page, table, x, y, within=8.0):
    wait_until(page, lambda: np.linalg.norm(agent_position(seen(page, table)) - (x, y)) < within)


def wait_until(page, condition, rounds=200):
    for _ in range(rounds):
        if condition():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it did not come to that.")


def test_the_pusher_follows_the_pointer_in_both_worlds(visit, address):
    page = visit(address)
    begin(page)
    first = {table: seen(page, table) for table in ("learned", "real")}
    point(page, "real", 400, 380)
    wait_for_pusher(page, "real", 400, 380)
    wait_for_pusher(page, "learned", 400, 380)
    point(page, "learned", 90, 420)
    wait_for_pusher(page, "real", 90, 420)
    for table, before in first.items():
        assert not np.array_equal(seen(page, table), before)
    expect(page.locator("#psnr")).to_have_text("60.0 dB")
    expect(page.locator("#latency")).to_have_text(re.compile(r"^\d+ ms$"))
    assert float(page.locator("#apart").inner_text().removesuffix(" px")) < 4


def test_generate_an_image_a_video_and_a_policy(visit, address):
    page = visit(address)
    page.fill("#prompt", "a robot")
    page.click("#send")
    expect(page.locator("#answer img")).to_be_visible()
    expect(page.locator("#answer")).to_contain_text("a robot")
    expect(page.locator("#answer")).not_to_contain_text("fps")
    page.select_option("#mode", "text2video")
    page.press("#prompt", "Control+Enter")
    expect(page.locator("#answer video")).to_be_visible()
    wait_until(page, lambda: page.evaluate("document.querySelector('#answer video').currentTime > 0.2"))  # it decodes
    page.select_option("#mode", "policy")
    page.select_option("#domain", "pusht")
    page.click("#send")
    expect(page.locator("#ask-notice")).to_have_text("Choose a picture first.")
    begin(page)
    page.click("#from-real")
    page.click("#send")
    expect(page.locator("#answer .chart polyline")).to_have_count(2)
    page.get_by_role("button", name="Play these actions").click()
    wait_for_pusher(page, "real", *(256 * (answered_actions(0, 16, get_domain("pusht"))[-1] + 1)))


def test_the_queue_is_watched_and_a_job_cancelled(visit, address, world):
    page = visit(address)
    world.step = 0.05
    job = str(uuid.uuid4())
    body = {"requests": [{"mode": "text2image", "prompt": "slow", "num_steps": 1000}]}
    assert httpx.put(f"{address}/jobs/{job}", json=body).status_code == 202
    row = page.locator(f"#job-{job}")
    expect(row.locator(".chip")).to_have_text("running")
    wait_until(page, lambda: row.locator("progress").evaluate("bar => bar.value > 0"))
    expect(page.locator("#standing")).to_contain_text("1 running")
    row.get_by_role("button", name="Cancel").click()
    expect(row.locator(".chip")).to_have_text("cancelled")
    assert httpx.get(f"{address}/jobs/{job}").json()["state"] == "cancelled"


@pytest.mark.slow
def test_what_was_generated_is_cancelled_by_its_own_button(visit, address, world):
    page = visit(address)
    world.step = 0.05
    page.fill("#prompt", "slow")
    page.locator("summary", has_text="Sampling").click()
    page.fill("#steps", "1000")
    page.click("#send")
    page.click("#stop")
    expect(page.locator("#ask-notice")).to_have_text("this request was cancelled.")
    expect(page.locator("#send")).to_be_enabled()
    page.said[:] = [text for text in page.said if "499" not in text]  # Chromium notes every refusal


@pytest.mark.slow
def test_keys_and_buttons(visit, address, world):
    page = visit(address)
    begin(page)
    start = agent_position(seen(page, "real"))
    page.focus("#stage")
    for _ in range(6):
        page.keyboard.press("Shift+ArrowRight", delay=120)
    wait_until(page, lambda: agent_position(seen(page, "real"))[0] > start[0] + 60)
    page.keyboard.press(" ")
    expect(page.locator("#pause")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press(" ")
    expect(page.locator("#pause")).to_have_attribute("aria-pressed", "false")
    world.wrong = True
    point(page, "real", 60, 60)
    wait_for_pusher(page, "real", 60, 60)
    assert not np.array_equal(seen(page, "learned"), seen(page, "real"))
    page.click("#sync")
    wait_until(page, lambda: np.array_equal(seen(page, "learned"), seen(page, "real")))
    page.click("#next")
    env = open_simulator()
    other = env.reset(seed=HELD_OUT_SEED + 1)[0]["pixels"]
    env.close()
    for table in ("learned", "real"):
        wait_until(page, lambda table=table: np.array_equal(seen(page, table), other))


@pytest.mark.slow
def test_a_key_is_asked_for(visit, world, tmp_path):
    with live_server(ServerSettings(data=tmp_path, port=0, api_keys=("right",)), world) as url:
        page = visit(url, ready="#key-dialog[open]")
        page.fill("#key", "wrong")
        page.press("#key", "Enter")
        expect(page.locator("#key-notice")).to_have_text("That key was not accepted.")
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        expect(page.locator("#key-dialog")).to_be_visible()
        page.fill("#key", "right")
        page.press("#key", "Enter")
        begin(page)
        point(page, "real", 100, 100)
        wait_for_pusher(page, "real", 100, 100)
        page.reload()
        page.wait_for_selector("#send:enabled")  # the key is remembered
        assert [text for text in page.said if "401" not in text] == []
        page.said.clear()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone(visit, address, scheme):
    page = visit(address, color_scheme=scheme, **PHONE)
    begin(page)
    box = page.locator("#real").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 4, box["y"] + box["height"] / 4)
    wait_for_pusher(page, "real", 128, 128, within=12)
    page.select_option("#mode", "forward_dynamics")
    page.locator("summary", has_text="Sampling").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 150) == (scheme == "dark")


@pytest.mark.slow
def test_tables_are_freed(visit, address):
    page = visit(address)
    begin(page)
    table = move(page, 300, 300)
    assert httpx.delete(table).status_code == 204
    point(page, "real", 100, 300)
    expect(page.locator("#curtain")).to_be_visible()
    expect(page.locator("#play-notice")).to_contain_text("begin a new one")
    begin(page)
    table = move(page, 300, 300)
    page.goto("about:blank")  # who goes leaves no tables behind
    gone = lambda: httpx.post(f"{table}/steps", json={"targets": [[0, 0]] * 4}, timeout=30).status_code == 404  # noqa: E731
    wait_until(page, gone)
    page.said[:] = [text for text in page.said if "404" not in text and text != "about:blank"]


def move(page, x, y):
    """Move the pointer over the real table; gives the address of the tables that the page plays on."""
    with page.expect_response(re.compile("/steps$")) as moved:
        point(page, "real", x, y)
    return moved.value.url.removesuffix("/steps")


@pytest.mark.slow
def test_a_server_that_is_away_for_a_while(visit, world, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with live_server(ServerSettings(data=tmp_path, port=port), world) as url:
        page = visit(url)
        expect(page.locator("#standing")).to_have_text("idle")
    expect(page.locator("#standing")).to_have_text("offline")
    page.fill("#prompt", "a robot")
    page.click("#send")
    expect(page.locator("#ask-notice")).to_have_text("the server cannot be reached.")
    with live_server(ServerSettings(data=tmp_path, port=port), world):
        expect(page.locator("#standing")).to_have_text("idle")
        expect(page.locator("#queue-notice")).to_be_hidden()
        page.said[:] = [text for text in page.said if "ERR_" not in text]
