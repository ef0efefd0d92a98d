# One image for web, workers and scheduler. The default carries the embedded model and onnxruntime, no torch.
FROM python:3.12-slim-bookworm

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
