# The same daemons beside Debian's Nginx with its Lua module: one container runs `nginx`, the other
# `discovery`, so that what checks a configuration is what serves it.
ARG AGENT=wharfinger
FROM ${AGENT}
# Nginx gives its workers another user by itself, and discovery must reach it.
USER root
# Nobody's site but discovery's; the log where Docker reads it; the pid where discovery sees it; and
# no folder for systemd-tmpfiles, which never runs here. The folders of temporary files are made
# beforehand, or both would need the right to give them away.
RUN rm -f /etc/nginx/sites-enabled/default && \
    sed -i 's|^pid .*|pid /run/wharfinger/nginx/nginx.pid;|' /etc/nginx/nginx.conf && \
    ln -sf /dev/stdout /var/log/nginx/access.log && ln -sf /dev/stderr /var/log/nginx/error.log && \
    rm -rf /etc/tmpfiles.d && cd /var/lib/nginx && \
    install -d -o www-data -g root -m 700 body fastcgi proxy scgi uwsgi
LABEL org.opencontainers.image.title="Wharfinger edge"
CMD ["nginx"]
