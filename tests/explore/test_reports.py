"""The page's report: real answers in, one HTML file out, saved and never shown."""

from __future__ import annotations

import pytest
from google.protobuf import json_format

from access.calls import OURS
from client.report.test_page import check

ANSWERED = ("attribute", "explain", "score")


@pytest.mark.parametrize("method", ANSWERED)
async def test_an_answer_becomes_a_report(page, method):
    request = json_format.MessageToDict(OURS[method.capitalize()])
    answer = (await page.post(method, request)).json()
    response = await page.http.post("/page/report", json={"answers": [{"request": request, "answer": answer}]})
    assert response.status_code == 200
    assert response.headers["content-disposition"].startswith("attachment")
    assert answer["metadata"]["provenance"]["modelDigest"] in check(response.text).text


@pytest.mark.parametrize(
    "body", [{}, {"answers": []}, {"answers": [1]}, {"answers": [{"answer": {"attribution": 1}}]}, [], "answers"]
)
async def test_what_holds_no_answers_is_refused(page, body):
    response = await page.http.post("/page/report", json=body)
    assert response.status_code == 400
    assert "UNREADABLE_RESULT" in response.text


async def test_a_form_of_another_page_makes_no_report(page):
    sent = await page.http.post("/page/report", content="{}", headers={"Content-Type": "text/plain"})
    assert sent.status_code == 415
