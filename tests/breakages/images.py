"""Of the images and of the compose file."""

from __future__ import annotations

from breakage import Breakage

DOCKERFILE = "tests/repository/test_images.py"
COMPOSE = "tests/repository/test_compose.py"

BREAKAGES = (
    Breakage(
        name="an image that runs as root",
        file="images/Dockerfile",
        old="USER 10001:10001\n",
        new="",
        tests=DOCKERFILE,
    ),
    Breakage(
        name="an image whose first process is a shell",
        file="images/Dockerfile",
        old='ENTRYPOINT ["whence"]',
        new="ENTRYPOINT whence",
        tests=DOCKERFILE,
    ),
    Breakage(
        name="an image with torch where there must be none",
        file="images/Dockerfile",
        old="ARG ONNX_EXTRA=onnx\n",
        new="ARG ONNX_EXTRA=export\n",
        tests=DOCKERFILE,
    ),
    Breakage(
        name="an image of packages that nothing pins",
        file="images/Dockerfile",
        old="PIP_CONSTRAINT=/source/constraints.txt ",
        new="",
        tests=DOCKERFILE,
    ),
    Breakage(
        name="a front end in the compose file that asks nobody who calls",
        file="compose/compose.yaml",
        old="      WHENCE_KEYS_FILE: /keys/keys.json\n    # The folder",
        new='      WHENCE_INSECURE: "true"\n    # The folder',
        tests=COMPOSE,
    ),
    Breakage(
        name="a worker in the compose file that other machines reach",
        file="compose/compose.yaml",
        old="  workers: {internal: true}",
        new="  workers:",
        tests=COMPOSE,
    ),
    Breakage(
        name="a keys file mounted by itself, which is not seen to change",
        file="compose/compose.yaml",
        old="./keys:/keys:ro",
        new="./keys/keys.json:/keys/keys.json:ro",
        tests=COMPOSE,
    ),
)
