"""The nightly run tells what is wrong, and never that all is well when it cannot know."""

import pytest

from bestdefense_async import AuthError, BestDefense
from bestdefense_async.sandbox import Sandbox
from nightly import main, nightly


async def test_a_critical_finding_is_told(bd_client: BestDefense) -> None:
    """With its site; the low one is not worth a message."""
    line, code = await nightly(bd_client, ["shop.example.com", "blog.example.com"])

    assert line == "1 to mend: Search is run as SQL on shop.example.com"
    assert code == 1


async def test_a_clean_night_is_told_as_one(bd_client: BestDefense, bd_sandbox: Sandbox) -> None:
    """And what was asked is exactly what was scanned."""
    line, code = await nightly(bd_client, ["blog.example.com"])

    assert code == 0, line
    bd_sandbox.assert_requested("reports.create", times=1, site="blog.example.com")
    bd_sandbox.assert_not_requested("reports.create", site="shop.example.com")
    bd_sandbox.assert_not_requested("DELETE /**")


async def test_a_site_that_may_not_be_scanned_is_not_clean(bd_client: BestDefense) -> None:
    """It is told by its name."""
    line, code = await nightly(bd_client, ["blog.example.com", "partner.example.com"])

    assert line == "not scanned: partner.example.com"
    assert code == 3


async def test_a_lost_answer_starts_nothing_twice(
    bd_client: BestDefense, bd_sandbox: Sandbox
) -> None:
    """The scan was created and its answer is lost: nobody knows, and nobody guesses."""
    bd_sandbox.fault("reports.create", kind="drop", after_effect=True)

    line, code = await nightly(bd_client, ["blog.example.com"])

    assert line == "not scanned: blog.example.com"
    assert code == 3
    bd_sandbox.assert_no_duplicates()


async def test_a_finding_that_is_mended_is_gone_the_next_night(
    bd_client: BestDefense, bd_sandbox: Sandbox
) -> None:
    """Two nights, a day apart."""
    _, first = await nightly(bd_client, ["shop.example.com"])
    bd_sandbox.advance(24 * 3600)
    bd_sandbox.plant("shop.example.com", ["low"])
    _, second = await nightly(bd_client, ["shop.example.com"])

    assert (first, second) == (1, 0)


async def test_an_old_token_is_an_error(bd_sandbox: Sandbox) -> None:
    """Tokens live 30 days at most here; the night after that must not look like a clean one."""
    token = bd_sandbox.add_token(name="nightly", days=30)
    bd_sandbox.advance(31 * 24 * 3600)

    async with BestDefense(token=token, base_url=bd_sandbox.url) as bd:
        with pytest.raises(AuthError, match="expired"):
            await bd.sites.list()


async def test_the_program_takes_its_token_from_the_environment(
    bd_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As cron starts it; a site that nobody has is not scanned, and is told."""
    monkeypatch.setenv("BD_API_TOKEN", bd_sandbox.token)
    monkeypatch.setenv("BD_BASE_URL", bd_sandbox.url)

    assert await main(["nowhere.example.com"]) == 3

    assert capsys.readouterr().out == "not scanned: nowhere.example.com\n"
    bd_sandbox.assert_requested("sites.list")
    bd_sandbox.assert_not_requested("reports.create")
