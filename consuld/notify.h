/*
 * notify.h - telling the service manager (sd_notify(3)'s protocol)
 */
#ifndef CONSULD_NOTIFY_H
#define CONSULD_NOTIFY_H

/* "READY=1", "STOPPING=1", ... to $NOTIFY_SOCKET; without that variable nothing happens. */
void notify_manager(const char *text);

#endif
