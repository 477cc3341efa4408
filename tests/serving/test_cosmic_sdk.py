"""Cosmic's own client, `@cosmicjs/sdk`, in front of a whole checkpoint with random weights: text plain and streamed,
an image, a video and what follows it, speech, its media library, and what it shows of errors."""

import json
import shutil

import httpx
import pytest
from chat_service import chat_service
from live_server import live_server
from node_script import run_node
from stepping_model import SteppingModel

from cosmos_robot.remote.chat_reasoner import ChatReasoner
from cosmos_robot.serving.settings import ServerSettings
from cosmos_robot.world_model import load_world_model

pytestmark = pytest.mark.slow

SDK = "@cosmicjs/sdk@1.8.0"
FACTS = {"native_canvas": [96, 96], "max_action_chunk_size": 16, "num_steps": 2, "guidance": 1.0, "fps": 10}
BEGIN = """
import { createBucketClient } from '@cosmicjs/sdk'
const root = given.url + '/v3'
const client = (key) => createBucketClient({
  bucketSlug: 'tests', readKey: key, writeKey: key, custom: { apiUrl: root, uploadUrl: root },
})
const cosmic = client('right')
const refused = async (promise) => { try { await promise; return null } catch (error) { return error } }
const told = {}
"""
END = "\nconsole.log(JSON.stringify(told))\n"


@pytest.fixture(scope="module")
def reasoner(reasoner_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cosmic") / "checkpoint"
    shutil.copytree(reasoner_folder("nano"), folder)
    (folder / "cosmos_robot.json").write_text(json.dumps(FACTS))
    with chat_service() as service:  # which writes captions: a reasoner with random weights is long in coming to an end
        yield load_world_model(folder, device="cpu", reasoner=ChatReasoner(service.url, "good"))


@pytest.fixture(scope="module")
def url(reasoner, tmp_path_factory):
    settings = ServerSettings(
        data=tmp_path_factory.mktemp("data"), port=0, api_keys=("right",), checkpoint="nvidia/Cosmos3-Nano"
    )
    with live_server(settings, reasoner) as url:
        yield url


def run(script, url, **given):
    return run_node(BEGIN + script + END, SDK, url=url, seconds=120, **given)


def fetched(media):
    answer = httpx.get(media["url"])  # without a key
    assert (answer.status_code, len(answer.content)) == (200, media["size"])
    assert answer.headers["content-type"] == media["type"]
    return answer.content


def test_generate_text(url, reasoner):
    told = run(
        """
        told.plain = await cosmic.ai.generateText({ prompt: 'What is it?', max_tokens: 16 })
        told.chat = await cosmic.ai.generateText({
          messages: [
            { role: 'user', content: 'Tell me about mugs' },
            { role: 'assistant', content: 'They are round.' },
            { role: 'user', content: 'What is it?' },
          ],
          model: 'claude-opus-4-8', max_tokens: 16,
        })
        """,
        url,
    )
    expected = reasoner.reason("What is it?", max_new_tokens=16)
    usage = {"input_tokens": expected.usage.prompt_tokens, "output_tokens": expected.usage.completion_tokens}
    assert (told["plain"]["text"], told["plain"]["usage"]) == (expected.text, usage)
    assert told["plain"]["model"] == told["chat"]["model"] == "nvidia/Cosmos3-Nano"
    assert told["chat"]["usage"]["input_tokens"] > usage["input_tokens"]


def test_generate_text_as_a_stream(url, reasoner):
    told = run(
        """
        const asked = { prompt: 'What is it?', max_tokens: 16 }
        const stream = await cosmic.ai.generateText({ ...asked, stream: true })
        told.events = []
        for (const name of ['text', 'usage', 'end', 'error']) {
          stream.on(name, (value) => told.events.push([name, value instanceof Error ? value.message : value]))
        }
        await new Promise((resolve) => stream.on('end', (data) => data && data.text !== undefined && resolve()))
        told.text = stream.text
        told.usage = stream.usage
        told.pieces = ''
        for await (const chunk of await cosmic.ai.stream(asked)) { told.pieces += chunk.text ?? '' }
        """,
        url,
    )
    expected = reasoner.reason("What is it?", max_new_tokens=16)
    usage = {"input_tokens": expected.usage.prompt_tokens, "output_tokens": expected.usage.completion_tokens}
    assert told["text"] == told["pieces"] == expected.text
    assert told["usage"] == usage
    names = [name for name, _ in told["events"]]
    assert set(names) == {"text", "usage", "end"}
    (end, *_) = [value for name, value in told["events"] if name == "end"]
    assert (end["text"], end["usage"], end["finish_reason"]) == (expected.text, usage, expected.finish_reason)


def test_generate_image_and_ask_about_it(url, reasoner):
    told = run(
        """
        told.image = await cosmic.ai.generateImage({
          prompt: 'A mountain', folder: 'ai-generated', alt_text: 'A mountain at sunset', metadata: { caption: 'Vista' },
        })
        const shown = { prompt: 'What is it?', media_url: told.image.media.url, max_tokens: 8 }
        told.about = await cosmic.ai.generateText(shown)
        told.blind = await cosmic.ai.generateText({ prompt: 'What is it?', max_tokens: 8 })
        """,
        url,
    )
    media = told["image"]["media"]
    assert fetched(media).startswith(b"\x89PNG")
    assert (media["width"], media["height"], media["type"]) == (96, 96, "image/png")
    assert (media["folder"], media["alt_text"]) == ("ai-generated", "A mountain at sunset")
    assert media["metadata"] == {"caption": "Vista"}
    assert json.loads(told["image"]["revised_prompt"])["comprehensive_t2i_caption"] == "a cup on a table"
    assert told["about"]["usage"]["input_tokens"] > told["blind"]["usage"]["input_tokens"]


def test_generate_and_extend_video(url):
    told = run(
        """
        told.video = await cosmic.ai.generateVideo({ prompt: 'A kitten', duration: 4, folder: 'clips' })
        told.longer = await cosmic.ai.extendVideo({ media_id: told.video.media.id, prompt: 'It walks away.' })
        """,
        url,
    )
    video, longer = told["video"]["media"], told["longer"]["media"]
    assert fetched(longer)[4:8] == b"ftyp"
    assert (video["metadata"]["duration"], video["metadata"]["resolution"]) == (1.7, "96x96")
    assert (longer["metadata"]["duration"], longer["metadata"]["veo_file_uri"]) == (1.2, longer["url"])
    assert (told["longer"]["source_media_id"], told["longer"]["is_extension"]) == (video["id"], True)
    assert told["video"]["usage"]["total_tokens"] == 144_000
    assert told["video"]["generation_time_seconds"] > 0


def test_its_media_library(tmp_path):
    """The client reads with a key in the address, which a server with keys does not look at."""
    with live_server(ServerSettings(data=tmp_path, port=0), SteppingModel()) as url:
        told = run(
            """
            told.image = await cosmic.ai.generateImage({ prompt: 'A robot', folder: 'kept' })
            await cosmic.ai.generateImage({ prompt: 'A robot', folder: 'other' })
            told.found = await cosmic.media.find({ folder: 'kept' })
            told.all = await cosmic.media.find().limit(1).skip(1)
            told.one = await cosmic.media.findOne({ id: told.image.media.id })
            await cosmic.media.deleteOne(told.image.media.id)
            told.gone = await refused(cosmic.media.find({ folder: 'kept' }))
            """,
            url,
        )
        assert told["found"]["media"] == [told["image"]["media"]] == told["all"]["media"]
        assert (told["all"]["total"], told["one"]["media"]) == (2, told["image"]["media"])
        assert told["gone"] == {"status": 404, "message": "no media found."}
        assert httpx.get(told["image"]["media"]["url"]).status_code == 404


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_generate_audio(url):
    told = run("told.audio = await cosmic.ai.generateAudio({ prompt: 'Welcome.', voice: 'echo' })", url)
    media = told["audio"]["media"]
    assert len(fetched(media)) > 1000
    assert media["type"] == "audio/mpeg"
    assert (media["metadata"]["voice"], media["metadata"]["model"]) == ("echo", "espeak-ng")


def test_what_it_shows_of_errors(url):
    told = run(
        """
        told.bad = await refused(cosmic.ai.generateVideo({ prompt: 'A kitten', duration: 5 }))
        told.missing = await refused(cosmic.ai.extendVideo({ prompt: 'On.', media_id: '0'.repeat(24) }))
        told.locked = await refused(client('wrong').ai.generateText({ prompt: 'What is it?' }))
        """,
        url,
    )
    assert told["bad"] == {"status": 400, "message": "duration: Input should be 4, 6 or 8"}
    assert told["missing"] == {"status": 404, "message": "there is no media of that id."}
    assert told["locked"]["status"] == 401
