/* The part of the launcher that is loaded after libpython: it starts the interpreter.
 *
 * Modules come from the archive at the end of this very file, /proc/self/exe: a file that is
 * replaced while the program runs stays the one it was. Nothing in the environment has a say.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <dlfcn.h>
#include <unistd.h>

#include "launcher.h"

#define SELF "/proc/self/exe"

static PyObject *held(PyObject *module, PyObject *args)
{
    const char *name, *bytes;
    Py_ssize_t size;
    char path[HELD_PATH];
    (void)module;
    if (!PyArg_ParseTuple(args, "sy#", &name, &bytes, &size))
        return NULL;
    int descriptor = hold(name, bytes, (size_t)size, path);
    if (descriptor < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    return Py_BuildValue("is", descriptor, path);
}

static PyObject *load(PyObject *module, PyObject *args)
{
    const char *path;
    (void)module;
    if (!PyArg_ParseTuple(args, "s", &path))
        return NULL;
    if (dlopen(path, RTLD_NOW | RTLD_GLOBAL) == NULL) {
        PyErr_SetString(PyExc_ImportError, dlerror());
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"hold", held, METH_VARARGS, "hold(name, bytes) -> (descriptor, path): a file in memory."},
    {"load", load, METH_VARARGS, "load(path): load a shared library for others to find."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_onefile", .m_size = -1, .m_methods = functions};

static PyObject *make_module(void)
{
    return PyModule_Create(&definition);
}

static void demand(PyStatus status)
{
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
}

static void say_where(PyConfig *config)
{
    char real[4096];
    ssize_t length = readlink(SELF, real, sizeof real - 1);
    real[length < 0 ? 0 : length] = '\0';
    demand(PyConfig_SetBytesString(config, &config->executable, real));
    demand(PyConfig_SetBytesString(config, &config->prefix, "/"));
    demand(PyConfig_SetBytesString(config, &config->exec_prefix, "/"));
    demand(PyConfig_SetBytesString(config, &config->base_prefix, "/"));
    demand(PyConfig_SetBytesString(config, &config->base_exec_prefix, "/"));
    config->module_search_paths_set = 1;
    demand(PyWideStringList_Append(&config->module_search_paths, L"" SELF));
}

int run(int argc, char **argv)
{
    PyPreConfig early;
    PyPreConfig_InitPythonConfig(&early);
    early.isolated = 1;
    early.use_environment = 0;
    early.parse_argv = 0;
    demand(Py_PreInitialize(&early));

    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    config.isolated = 1;
    config.use_environment = 0;
    config.user_site_directory = 0;
    config.safe_path = 1;
    config.site_import = 0;
    config.write_bytecode = 0;
    config.parse_argv = 0;
    demand(PyConfig_SetBytesArgv(&config, argc, argv));
    demand(PyConfig_SetBytesString(&config, &config.run_command, "import onefile"));
    say_where(&config);
    if (PyImport_AppendInittab("_onefile", make_module) < 0)
        return 1;
    demand(Py_InitializeFromConfig(&config));
    PyConfig_Clear(&config);
    return Py_RunMain();
}
