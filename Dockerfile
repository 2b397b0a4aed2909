# stalkd, stalk-worker and stalk in one image: docker build -t stalkd .
# See docs/deploying.md.

FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/stalkd
COPY pyproject.toml README.md LICENSE ./
COPY man man
COPY systemd systemd
COPY completions completions
COPY client client
COPY stalkd stalkd
RUN /opt/stalkd/bin/pip install --no-cache-dir .

FROM python:3.13-slim
COPY --from=build /opt/stalkd /opt/stalkd
ENV PATH=/opt/stalkd/bin:$PATH
# The number is fixed, so that a volume keeps its owner. A new volume gets the directory's.
RUN groupadd --gid 11300 stalkd \
    && useradd --uid 11300 --gid stalkd --no-create-home --home-dir /var/lib/stalkd stalkd \
    && install --directory --owner=stalkd --group=stalkd --mode=0700 /var/lib/stalkd
USER 11300:11300
WORKDIR /var/lib/stalkd
VOLUME /var/lib/stalkd
EXPOSE 11300
STOPSIGNAL SIGTERM
# Of a worker, with STALKD_URL, it tells whether its server is well.
HEALTHCHECK --interval=30s --timeout=6s --start-period=2m CMD ["stalk", "ping"]
# No entry point: for a worker, say "docker run ... stalkd stalk-worker ...".
CMD ["stalkd", "-l", "0.0.0.0", "-b", "/var/lib/stalkd"]
