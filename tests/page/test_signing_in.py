"""Who is not signed in is asked for a token, once, by the page itself."""

import pytest
from playwright.async_api import Route, expect

from tests.page.browsing import Store, Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_token_is_asked_for_and_the_page_goes_on(visit: Visit, store: Store) -> None:
    await store.say("secret", app="signin")
    visit.allowed.append("401")
    signed_in = False

    async def guard(route: Route) -> None:
        nonlocal signed_in
        request = route.request
        if request.url.endswith("/api/login"):
            signed_in = request.post_data_json == {"token": "right"}
            good = {"status": 200, "json": {"tenant": "default", "name": "ann", "may": ["read"]}}
            bad = {"status": 401, "json": {"error": "wrong"}}
            await route.fulfill(**(good if signed_in else bad))  # type: ignore[arg-type]
        elif signed_in:
            await route.continue_()
        else:
            # Whoever names itself gets no challenge, so that no window of the browser's opens.
            assert request.headers["x-requested-with"]
            await route.fulfill(status=401, json={"error": "the token is missing or wrong"})

    await visit.page.route("**/api/**", guard)
    await visit.page.goto(f"{visit.url}/?app=signin&live=1")
    await visit.page.get_by_label("Token").fill("wrong")
    await visit.button("Sign in").click()
    await expect(visit.page.get_by_role("alert")).to_contain_text("not a token that may read")
    await visit.page.get_by_label("Token").fill("right")
    await visit.button("Sign in").click()
    await expect(visit.messages).to_have_text(["secret"])
    assert visit.query == "app=signin&live=1"
