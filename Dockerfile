# `app` is the image of web, bot worker, scheduler and engine: the embedded model and onnxruntime, no torch.
# `sandbox` is the sandbox workers': they copy other languages' programs out of it into the boxes' images.
FROM python:3.12-slim-trixie AS app

ARG PIP_ARGS=""
RUN apt-get update \
 && apt-get install -y --no-install-recommends git bubblewrap \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --create-home evoscale

WORKDIR /app
COPY constraints.txt pyproject.toml README.md LICENSE app.yml ./
COPY bot bot
COPY engine engine
COPY sandbox sandbox
RUN pip install --no-cache-dir ${PIP_ARGS} -c constraints.txt -e .

USER 10001
ENV PYTHONUNBUFFERED=1
EXPOSE 8080
ENTRYPOINT ["evoscale"]
CMD ["serve", "--host", "0.0.0.0"]

FROM app AS sandbox
USER root
# The last line is Maven's repository, from which Java's builds take their plugins and JUnit.
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      nodejs npm golang-go cargo rustc gcc libc6-dev default-jdk-headless maven gradle \
      junit4 libsurefire-java libmaven-compiler-plugin-java libmaven-resources-plugin-java \
 && rm -rf /var/lib/apt/lists/*
USER 10001
CMD ["worker", "sandbox"]

# Without a target: the small one.
FROM app
